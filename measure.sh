#!/bin/bash
# all measurements of the final weights
cd /work/h/joint; D=/work/shared/data; T="nice -n 5 /work/h/t.sh /work/h/joint"; R=/work/h/runs/measured; mkdir -p $R
M=identity,imed-joint,imed-joint:passes=1,imed-joint:passes=3,imed-joint:transfer=true,imed-joint:network=report
$T --cli run --data $D/cf_octa --split multi-modal --methods $M --metrics mse,rmse,tre_mean --out $R/cf_octa > $R/cf_octa.txt 2>&1
$T --cli run --data $D/cf_fa --split multi-modal --methods $M --metrics mse,rmse,tre_mean --out $R/cf_fa > $R/cf_fa.txt 2>&1
for l in imed hard; do for s in multi-modal single-modal; do
$T --cli run --data synthetic:level=$l --split $s --methods identity,imed-joint,imed-joint:passes=1,imed-joint:passes=3,imed-joint:selfcheck=false --metrics mse,rmse,tre_mean --out $R/$l-$s > $R/$l-$s.txt 2>&1
done; done
