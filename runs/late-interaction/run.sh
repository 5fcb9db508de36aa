#!/bin/sh
# Students for late interaction beside those of one vector: XQuAD in Spanish, German, Hindi and Arabic, AfriQA in Hausa and
# Swahili. Each bitext has questions too: MLQA-R's, or AfriQA's for training and development. A second call goes on.
#   pyserini-optical fine-tune encoders/late-interaction-en.yaml --set data=../shared/data
#   sh runs/late-interaction/run.sh [LANGUAGES [DATA]]
set -e
languages=${1:-es de hi ar ha sw}
data=${2:-../shared/data}
for language in $languages; do
    case $language in
        es | de | hi | ar)
            sh runs/mlqa-questions.sh "$language" "$data"
            set -- --set "questions=xquad/$language" --set "asked=work/mlqa-r.$language-en.tsv" \
                --set "translated=$data/topics/xquad/$language.machine-translated-en.tsv" ;;
        ha | sw)
            # These have no machine translations but those that the bitext teaches.
            pyserini-optical translate "learned:$data/bitext/$language-en.tsv.xz" "$data/topics/afriqa/$language.test.tsv" \
                "work/afriqa.$language.en.tsv"
            set -- --set "questions=afriqa/$language.test" --set "human=afriqa/$language.test.human-translated-en" \
                --set "qrels=afriqa/$language.test.qrels" --set "translated=work/afriqa.$language.en.tsv" \
                --set "asked=$data/bitext/$language-en.questions.tsv.xz" ;;
        *)
            echo "$language: no such language here; give some of: es de hi ar ha sw" >&2
            exit 1 ;;
    esac
    pyserini-optical study runs/late-interaction/study.yaml --set "data=$data" --set "language=$language" \
        --output "runs/late-interaction/$language" "$@"
done
