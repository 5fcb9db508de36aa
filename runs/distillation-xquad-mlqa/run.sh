#!/bin/sh
# Goes through the cells of the comparison, one seed in all languages before the next, so that what is there is a balanced
# part of the whole; what has a report is skipped. Several processes or machines may share the languages or the seeds.
#   sh runs/distillation-xquad-mlqa/run.sh techniques|couplings|relevance|sizes [LANGUAGES [SEEDS [DATA]]]
# docs/which-distillation.md is made from the reports, joined over the seeds and pooled over the languages.
set -e
here=runs/distillation-xquad-mlqa
what=$1
languages=${2:-$(test "$what" = sizes && echo hi sw || echo hi sw es ha de ar)}
seeds=${3:-0 1 2}
data=${4:-../shared/data}

cell() { # FILE LANGUAGE COLLECTION OUTPUT SETTING…
    file=$1 language=$2 collection=$3 output=$4
    shift 4
    for report in "$here/$output/seed"*"-$seed/report.json" "$here/$output/seed"*"-$seed-"*"/report.json"; do
        test -e "$report" && return
    done
    case $collection in
        afriqa) set -- "$@" --set "questions=afriqa/$language.test" --set "qrels=afriqa/$language.test.qrels" \
            --set "human=afriqa/$language.test.human-translated-en" ;;
        *) set -- "$@" --set "questions=$collection/$language" --set "qrels=$collection/qrels" \
            --set "human=$collection/en" ;;
    esac
    pyserini-optical study "$here/$file.yaml" --output "$here/$output/seed-$seed" --set "data=$data" \
        --set "language=$language" --set "seeds=[$seed]" "$@"
}

relevance() { # LANGUAGE COLLECTION OUTPUT, and without their endings: QUESTIONS TRANSLATIONS QRELS
    cell relevance "$1" "$2" "relevance/$3" --set "learnt=$4" --set "learnt_english=$5" --set "learnt_qrels=$6"
}

# As many of SQuAD's training questions as MLQA-R has, every 175th, and their Spanish by Apertium, as topics.
squad() {
    test -e work/squad-500/es.tsv && return
    mkdir -p work/squad-500
    xz -dc "$data/relevance/squad-train.tsv.xz" | awk -F '\t' 'NR % 175 == 1 { print "squad-" NR "\t" $1 }' >work/squad-500/en.tsv
    xz -dc "$data/relevance/squad-train.tsv.xz" | awk -F '\t' 'NR % 175 == 1 { print "squad-" NR " 0 " $2 " 1" }' >work/squad-500/qrels.txt
    pyserini-optical translate apertium:eng-spa work/squad-500/en.tsv work/squad-500/es.tsv
}

for seed in $seeds; do
    for language in $languages; do
        collection=xquad
        case $language in ha|sw) collection=afriqa ;; esac
        case $what-$language in
            sizes-*)
                case $language in hi) all="25051 0.2" ;; sw) all="38894 0.1286" ;; *) echo "sizes are for hi and sw" >&2; exit 2 ;; esac
                for size in "2000 2.5" "5000 1" "10000 0.5" "20000 0.25" "$all"; do
                    cell sizes "$language" $collection "sizes/$language-${size% *}" \
                        --set "pairs=${size% *}" --set "epochs=${size#* }"
                done ;;
            relevance-sw) ;; # no questions to learn from
            relevance-ha)
                afriqa=$data/topics/afriqa/ha.train
                relevance ha afriqa ha "$afriqa" "$afriqa.human-translated-en" "$afriqa.qrels" ;;
            relevance-*)
                mlqa=$data/topics/mlqa-r
                relevance "$language" xquad "$language" "$mlqa/$language" "$mlqa/en" "$mlqa/qrels"
                if test "$language" = es; then
                    squad
                    relevance es xquad es-squad work/squad-500/es work/squad-500/en work/squad-500/qrels
                fi ;;
            techniques-sw|techniques-ha) cell techniques "$language" afriqa "techniques/$language" ;;
            techniques-*)
                cell techniques "$language" xquad "techniques/$language"
                cell techniques "$language" mlqa-r "techniques/mlqa-r-$language" ;;
            *) cell "$what" "$language" $collection "$what/$language" ;;
        esac
    done
done
