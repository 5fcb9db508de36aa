#!/bin/sh
# What bitext buys, on development questions: MLQA-R's, which are in none of the bitext here, and AfriQA's in Hausa.
#   pyserini-optical fine-tune encoders/late-interaction-en.yaml --set data=../shared/data
#   sh runs/best-student/run.sh [LANGUAGES [DATA [FREEDICT]]]
set -e
languages=${1:-es de hi ar ha}
data=${2:-../shared/data}
freedict=${3:-/usr/share/dictd}
for language in $languages; do
    case $language in
        es) words="$freedict/freedict-spa-eng.dict.dz" ;;
        de) words="$freedict/freedict-deu-eng.dict.dz" ;;
        hi) words="$freedict/freedict-eng-hin.dict.dz" ;;
        ar) words="$freedict/freedict-ara-eng.dict.dz" ;;
        ha) words= ;;
        *)
            echo "$language: no development questions; give some of: es de hi ar ha" >&2
            exit 1 ;;
    esac
    pairs="\"$data/bitext/$language-en.tsv.xz\""
    if [ -n "$words" ]; then
        pairs="[$pairs, \"$data/dictionary/$language-en.tsv.xz\", \"$words\"]"
        set -- --set "questions=mlqa-r/$language"
    else
        set -- --set "questions=afriqa/$language.dev" --set "human=afriqa/$language.dev.human-translated-en" \
            --set "qrels=afriqa/$language.dev.qrels"
    fi
    pyserini-optical study runs/best-student/study.yaml --set "data=$data" --set "language=$language" \
        --set "pairs=$pairs" --output "runs/best-student/$language" "$@"
done
