#!/bin/sh
# Trains the teachers of study.yaml on a tenth, three tenths and all of 2,000 labels, and runs it. A second call goes on.
#   sh runs/quick/run.sh ha|es [DATA]
# Labels are SQuAD's, translated (Hausa word by word with a table counted in the bitext, Spanish by Apertium). Generator and
# cross-encoder begin as the student and read the same questions, fewer of them more often; the generator reads them in English
# too, as it is to write in it.
set -e
language=$1
data=${2:-../shared/data}
corpus=$data/corpus/wikipedia-en.jsonl.xz
case $language in
    ha) translator="learned:$data/bitext/ha-en.tsv.xz?reverse=yes" topics=$data/topics/afriqa test=ha.test human=ha.test.human-translated-en ;;
    es) translator=apertium:eng-spa topics=$data/topics/xquad test=es human=en ;;
    *) echo "the languages are ha and es" >&2; exit 2 ;;
esac
# Hausa has 15,433 sentence pairs; Spanish gets about as many.
set --
test "$language" = ha || set -- --set limit=15000
pyserini-optical distill encoders/optical.yaml --set "data=$data" --set "language=$language" \
    --set "name=quick-student-$language" "$@"
for labels in 600 2000 200; do
    for asked in en "$language"; do
        set --
        test $asked = en || set -- --translator "$translator"
        pyserini-optical make-training-data "$data/relevance/squad-train.tsv.xz" "$corpus" "work/quick-$language.$asked.$labels.jsonl" \
            --limit $labels "$@"
    done
    case $labels in 2000) passes=1 first=1 ;; *) passes=2 first=4 ;; esac
    pyserini-optical fine-tune encoders/cross-encoder.yaml --set "data=$data" --set "name=cross-encoder-$language-$labels" \
        --set "model=encoders/quick-student-$language" --set "questions=work/quick-$language.$language.$labels.jsonl" --set limit=null \
        --set negatives_per_question=1 --set training.max_length=120 --set training.epochs=$passes
    pyserini-optical train-generator encoders/query-generator.yaml --set "data=$data" \
        --set "name=query-generator-$language-$labels" --set "exclude=[$topics/$test.tsv, $topics/$human.tsv]" \
        --set "sources=[{language: $language, questions: work/quick-$language.$language.$labels.jsonl}, {language: en, questions: work/quick-$language.en.$labels.jsonl}]" \
        --set "model=encoders/quick-student-$language" --set training.epochs=$first --set training.learning_rate=1e-4 \
        --set training.max_length=96 --set training.checkpoint_steps=100 --set contrastive.negatives=1 \
        --set contrastive.training.epochs=$passes --set contrastive.training.batch_size=16 \
        --set contrastive.training.learning_rate=5e-5
done
set --
test "$language" = ha || set -- --set learnt=mlqa-r/es --set learnt_qrels=mlqa-r/qrels --set questions=xquad/es \
    --set human=xquad/en --set qrels=xquad/qrels --set written=200
pyserini-optical study runs/quick/study.yaml --set "data=$data" --set "language=$language" --output "runs/quick/$language" "$@"
