#!/usr/bin/env bash
# On one GPU, within MINUTES (12, a whole number): checks every command, times the papers' tables, and trains one style with VGG-16 for
# the time that is left. All goes into one folder; a step that fails is recorded, and stops no other.
#   IMPASTO_DATA=<data> bash docs/measure/gpu.sh outputs/gpu             # without data: sample photographs, random filters
#   DEVICE=cpu SMALL=1 MINUTES=30 bash docs/measure/gpu.sh outputs/small # the same in small, to see that all of it runs
set -u
folder=${1:?give a folder} device=${DEVICE:-cuda} small=${SMALL:-0} data=${IMPASTO_DATA:-/nowhere}
end=$((SECONDS + 60 * ${MINUTES:-12})) jobs=${JOBS:-4}   # checks that run at once
mkdir -p "$folder" && folder=$(cd "$folder" && pwd) && mkdir -p "$folder/logs" "$folder/tables" "$folder/scenes"/{train,val}/{indoor,outdoor}
: >"$folder/steps" && echo "# On one GPU" >"$folder/gpu.md"
[[ $device == cpu ]] && accelerator=cpu || accelerator=gpu

step() {  # step <name> <seconds at most> <command>: log, exit status and seconds; 124: out of time
  local name=$1 limit=$2 began=$SECONDS left=$((end - SECONDS)); shift 2
  timeout --kill-after=10 $((left < limit ? (left > 1 ? left : 1) : limit)) "$@" >"$folder/logs/$name.log" 2>&1
  echo "| $name | $? | $((SECONDS - began)) |" >>"$folder/steps"
}
table() {  # table <name> <of its .md> <data> <loss network> <command>: a step, and its section of gpu.md as a results page
  local name=$1 file=$2 words="${*:5}" section="$folder/gpu.md"
  step "$name" "$table_s" "${@:5}"
  file=$(ls -t "$folder"/runs/*/*/"$file.md" "$folder"/runs/"$file/$file.md" 2>/dev/null | head -1)
  [[ -f $file ]] || return
  words=$(sed "s#python -m impasto.cli#impasto#; s#$folder#<folder>#g; s#$data#<data>#g; s#|#/#g" <<<"$words")
  printf '\n## %s\n\n| | |\n|---|---|\n' "$name" >>"$section"
  printf '| **%s** | %s |\n' Command "\`$words\`" Machine "$machine" Data "$3" "Loss network" "$4" Date "$(date +%F)" >>"$section"
  { echo; cat "$file"; } >>"$section"
}
check() { while (($(jobs -rp | wc -l) >= jobs)); do wait -n; done; step "$1" "$check_s" "${@:2}" & }
newest() { ls -d "$folder"/runs/*/*_"$1"_* 2>/dev/null | tail -1; }

# What runs, and how large
machine=$(python -c 'from impasto.hardware import describe_machine as m; m = m(); print(m["gpu"] or m["processor"], "torch", m["torch"])')
photo=$(python -c 'from impasto.data import sample_path; print(sample_path("rocket.jpg"))')
cp "$(dirname "$photo")/coffee.png" "$folder/scenes/train/indoor" && cp "$photo" "$folder/scenes/train/outdoor"
cp "$(dirname "$photo")/chelsea.png" "$folder/scenes/val/indoor" && cp "$(dirname "$photo")/motorcycle_left.png" "$folder/scenes/val/outdoor"
run="output_root=$folder/runs" i="python -m impasto.cli"
free="features=random loss=random style=stained_glass"   # no download
scenes="data=scenes data.root=$folder/scenes data.least_chroma=0"
patches="data.train=[$folder/scenes/train] data.val=[$folder/scenes/val]"
filters="features=random" style=stained_glass photographs="data=sample" real="$scenes data.batch_size=2"
[[ -f $data/weights/vgg16_features.safetensors ]] && filters="features=vgg16"
[[ -f $data/styles/vangogh_starry_night_1889.jpg ]] && style=starry_night
[[ -d $data/photos && -d $data/coco/val2017 ]] && photographs="data=photographs data.train=[$data/photos,$data/scenes/train] data.val=[$data/coco/val2017] data.val_limit=16"
[[ -d $data/scenes/train ]] && real="data=scenes data.root=$data/scenes data.batch_size=128"
if ((small)); then
  forms=("bf16-mixed false") precisions=bf16
  check_s=600 table_s=600 slack_s=600 size=64 width=4 steps=2 workers=0 reserve=0 train_s=5 filters="features=random" photographs="data=sample data.train_transform.size=64 data.val_transform.size=64"
  real="$scenes data.batch_size=2" tiny="network.width=4 style_size=48" patches+=" data.train_transform.size=$size data.val_transform.size=$size"
  speed="evaluation.sizes=[32] evaluation.iterations=[2] evaluation.whole=null evaluation.repeats=2 style_size=48"
  engines="evaluation.engines=[eager] evaluation.sizes=[32] evaluation.batches=[1] evaluation.repeats=1 evaluation.most_seconds=0"
  colour="evaluation.sizes=[[64,64]] evaluation.repeats=1 evaluation.network.width=4" figure="evaluation.sizes=[48] evaluation.counts=[1] evaluation.steps=[2] evaluation.marks=[1,2] style_size=48"
  usual="network.width=4 style_size=48 --size 48 --timed 1 --warmup 1"
else
  forms=("32-true false" "bf16-mixed false" "bf16-mixed true") precisions="fp32 bf16"
  check_s=120 table_s=60 slack_s=30 size=256 width=32 steps=100 workers=8 reserve=90 train_s=9999 tiny="" speed="" colour="" usual=""
  engines="evaluation.engines=[eager,compiled] evaluation.sizes=[512]" figure="evaluation.counts=[8,4,2] evaluation.steps=[300,200,100] style_size=256"
fi
train="$i train logger=csv $run trainer.accelerator=$accelerator trainer.log_every_n_steps=1 system.channels_last=true"
once="data.num_workers=0 trainer.max_steps=1 trainer.val_check_interval=1 callbacks.samples=null data.train_transform.size=$size data.val_transform.size=$size"

# Every command: a step of each system in both precisions, channels_last; compiled
for form in "${forms[@]}"; do
  read -r precision compiled <<<"$form"; name=$precision; [[ $compiled == true ]] && name=compiled
  how="$once trainer.precision=$precision system.compiled=$compiled system.scheduler=null"
  check "train_stylizer_$name" $train $how $free experiment=quickstart network=stylizer network.width=$width style_size=$size
  check "train_upscaler_$name" $train $how experiment=johnson2016_upscaler $filters network.width=$width $patches
  check "train_colorizer_$name" $train $how experiment=iizuka2016_scenes network.width=$width network.global_size=$size $scenes data.batch_size=2
  check "train_pocket_$name" $train $how experiment=pocket features=random features.architecture=vgg19 task.photographs=2 task.adversary.styles=[$folder/scenes/train] $patches data.batch_size=2
done
for precision in $precisions; do
  check "apply_stylizer_$precision" $i apply style=starry_night images="$photo" size=$size device=$device precision=$precision $run
  check "apply_colorizer_$precision" $i apply method=colorizer images="$photo" size=$size device=$device precision=$precision $run
  check "apply_upscaler_$precision" $i apply method=upscaler images="$photo" size=$size device=$device precision=$precision $run
  check "optimize_$precision" $i optimize experiment=random_filters images="$photo" size=$size style_size=$size steps=10 device=$device precision=$precision logger=csv $run
done
((small)) || {  # these take long whatever the size, and have tests of their own
  check apply_compiled $i apply style=starry_night engine=compiled images="$photo" size=$size device=$device $run
  check export_onnx $i export run=starry_night format=onnx $run
  check export_torch $i export run=starry_night format=torch_export $run
}
wait

# The papers' tables, one by one
table johnson_table1 gatys_speed "random numbers" "$filters" $i benchmark $filters device=$device logger=csv $run $speed
table engines engines "random numbers" none $i benchmark experiment=engines device=$device logger=csv $run $engines
table iizuka_seconds colouring_speed "random numbers" none $i evaluate experiment=iizuka2016_speed device=$device logger=csv $run $colour
step iizuka_width64 $table_s $train experiment=iizuka2016_places365 $real ${tiny:+network.width=4} data.num_workers=$workers trainer.max_steps=$steps trainer.precision=bf16-mixed callbacks.samples=null
step upscaler_288 $table_s $train experiment=johnson2016_upscaler $filters $patches ${tiny:+network.width=4} data.num_workers=$workers trainer.max_steps=$steps trainer.precision=bf16-mixed callbacks.samples=null
table training_speed training "sample photographs" "VGG-16, random filters" python docs/measure/training.py "$folder/runs/training" $usual --device $device --steps $steps
[[ -d $data/sr/Set5 && $small == 0 ]] && table super_resolution super_resolution "Set5, Set14, BSD100" none $i evaluate experiment=johnson2016_sr device=$device logger=csv $run

# One style with the paper's network, batch norm and VGG-16, for what is left; then Figure 5 with it
left=$((end - SECONDS - reserve - 30)); ((left > train_s)) && left=$train_s
step train_style $((left + slack_s)) $train experiment=johnson2016_style $filters style=$style $photographs $tiny data.num_workers=$workers trainer.precision=bf16-mixed +trainer.max_time="$(printf 00:00:%02d:%02d $((left / 60)) $((left % 60)))" trainer.log_every_n_steps=50
trained=$(newest johnson2016_style)
step apply_trained $slack_s $i apply run="$trained" images="$photo" device=$device output="$folder/tables" overwrite=true $run
[[ -d $data/coco/val2017 ]] && table figure5 objective "COCO val2017" "$filters" $i evaluate experiment=johnson2016_objective $filters loss=johnson2016 loss.weights.style=1e-4 style=$style evaluation.network="$trained" device=$device logger=csv $run $figure

# One folder of results: gpu.md, summary.md; pictures, numbers and curves of the runs in tables/, logs/
for name in johnson2016_style iizuka2016_places365 johnson2016_upscaler; do
  [[ -f $(newest $name)/metrics.csv ]] && cp "$(newest $name)/metrics.csv" "$folder/tables/$name.csv"
done
for file in "$folder"/runs/*/*/*.json "$folder"/runs/*/*/*.png "$folder"/runs/training/*.json "$folder"/runs/training/*.png; do
  [[ $file == */environment.json || $file == */status.json || ! -f $file ]] || cp "$file" "$folder/tables/"
done
{ echo "| step | exit | seconds |"; echo "| --- | --- | --- |"; cat "$folder/steps"; } | tee "$folder/summary.md"
! grep -qv '| 0 |' "$folder/steps"
