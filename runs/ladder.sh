#!/bin/sh
# The ladders from no translation to a person's; glosses know MLQA-R's questions in both languages too, and FreeDict's words
# (Debian: apt install dict-freedict-eng-hin …; others: https://freedict.org, dictd's format).
#   pyserini-optical fine-tune encoders/late-interaction-en.yaml --set data=../shared/data
#   sh runs/late-interaction/run.sh [LANGUAGES [DATA]]
#   sh runs/ladder.sh [LANGUAGES [DATA [FREEDICT]]]
set -e
languages=${1:-es de hi ar ha sw}
data=${2:-../shared/data}
freedict=${3:-/usr/share/dictd}
for language in $languages; do
    case $language in
        es | de | hi | ar)
            sh runs/mlqa-questions.sh "$language" "$data"
            qrels=$data/topics/xquad/qrels.txt ;;
        *) qrels=$data/topics/afriqa/$language.test.qrels.txt ;;
    esac
    case $language in
        ha) set -- ;;
        *) set -- --set "freedict=$freedict" ;;
    esac
    pyserini-optical study "runs/ladder-$language/study.yaml" --set "data=$data" "$@"
    # The study holds all others against the ensemble; this, against what nothing is trained for.
    pyserini-optical compare "$qrels" "runs/ladder-$language/runs/"*.txt.xz --baseline hybrid-late-interaction \
        --measures RR@10 --report "runs/ladder-$language/hybrid-late-interaction"
done
