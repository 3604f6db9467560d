#!/usr/bin/env bash
# The four results in the picture of `impasto optimize`; then: python docs/pictures/make_pictures.py gatys=<folder>
set -euo pipefail
photo=$(python -c 'from impasto.data import sample_path; print(sample_path("rocket.jpg"))')
paint() { impasto optimize style=starry_night images="$photo" size=384 logger=csv output="$folder/$1" "${@:2}"; }
folder=${1:?give a folder}
paint plain steps=200
paint match colors=match steps=100
paint luminance colors=luminance steps=100
paint blend blend='{great_wave:1}' steps=100
