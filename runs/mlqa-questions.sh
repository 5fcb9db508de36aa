#!/bin/sh
# MLQA-R's questions in a language and in English as bitext, work/mlqa-r.LANGUAGE-en.tsv; they are not for evaluation then.
#   sh runs/mlqa-questions.sh LANGUAGE [DATA]
set -e
language=$1
data=${2:-../shared/data}
export LC_ALL=C
mkdir -p work
# Topics of two languages with the same ids are bitext; some Hindi questions end in a literal \n.
for side in "$language" en; do
    sed 's/\\n//g' "$data/topics/mlqa-r/$side.tsv" | sort >"work/mlqa-r.$language.$side.tsv"
done
join -t "$(printf '\t')" -o 1.2,2.2 "work/mlqa-r.$language.$language.tsv" "work/mlqa-r.$language.en.tsv" \
    >"work/mlqa-r.$language-en.tsv"
