//! What the help shows below the flags.

pub(super) const EXAMPLES: &str = "\
Examples:
  vmfmix demo                                        drawn shapes through a toy CLIP; needs no network
  vmfmix --text-file captions.txt --n-components 8   one text a line
  vmfmix --image-dir photos --clip-model ViT-L/14    pictures of a folder and those below it
  vmfmix --text-file captions.txt --image-dir photos both in one mixture
  vmfmix --image-dir photos --zero-shot-labels w.txt components named by the words in w.txt
  vmfmix --embeddings vectors.npy --test-split 0     vectors made elsewhere
  vmfmix --embeddings 'parts/*.parquet'              the same in many files, larger than memory if need be
  vmfmix                                             synthetic embeddings, to see what comes out

Without a subcommand, `fit` is meant. Open report.html in the output directory when it is done.";

pub(super) const SWEEP_EXAMPLES: &str = "\
Examples:
  vmfmix sweep --embeddings photos.parquet                            2 to 12 components, the best by BIC
  vmfmix sweep --image-dir photos --select 5,10,20,40                 these numbers
  vmfmix sweep --text-file captions.txt --criterion held-out          the best by points held out

selection.json in the output directory has every number that was tried; all else is as from `fit`, of the best.";

pub(super) const EMBED_EXAMPLES: &str = "\
Examples:
  vmfmix embed --image-dir photos --output photos.parquet            one row for every picture
  vmfmix embed --image-dir photos --output photos.parquet --resume   what an interrupted run left undone
  vmfmix embed --input table.csv --column caption --output x.npy     a column of a table; x.metadata.parquet has the rest
  vmfmix --embeddings photos.parquet --n-components 8                then as often as you like";

pub(super) const PREDICT_EXAMPLES: &str = "\
Examples:
  vmfmix predict --model results/model_parameters.json --text-file new.txt --output new.parquet
  vmfmix predict --model results/model_parameters.json --embeddings 'parts/*.parquet' --output new.parquet

Rows of files of embeddings are assigned batch after batch: memory does not grow with their number.";

pub(super) const SAMPLE_EXAMPLES: &str = "\
Examples:
  vmfmix sample --model results/model_parameters.json --n-samples 1000 --output more.parquet
  vmfmix sample --n-samples 2000000 --dim 512 -k 64 --concentrations 100,300 --output big.npy";

pub(super) const REPORT_EXAMPLES: &str = "\
Examples:
  vmfmix report --model results/model_parameters.json --text-file new.txt --output-dir new
  vmfmix report --model results/model_parameters.json --embeddings photos.parquet --zero-shot-labels w.txt
  vmfmix report --compare results-5 results-10 --output-dir comparison

All items count as held out, since the file of a mixture does not tell to what it was fitted: there is a held-out
log-likelihood, and no BIC or AIC. If they are the items it was fitted to, new ones would do worse.";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Where it goes:
  vmfmix completions bash > ~/.local/share/bash-completion/completions/vmfmix
  vmfmix completions zsh > ~/.zfunc/_vmfmix             with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc
  vmfmix completions fish > ~/.config/fish/completions/vmfmix.fish
  vmfmix completions powershell >> $PROFILE
  vmfmix completions elvish > ~/.config/elvish/lib/vmfmix.elv   with `use vmfmix` in ~/.config/elvish/rc.elv

Make the folder first where there is none; new shells know it.";

pub(super) const VMF_EXAMPLES: &str = "\
Examples:
  vmfmix vmf --dim 768 --kappa 500                              normaliser, mean resultant length, entropy, angles
  vmfmix vmf --dim 768 --mean-resultant-length 0.4 --n 20       concentration, its standard error, its bias removed
  printf '768 500\\n512 100\\n' | vmfmix vmf                     a table, one line for each pair `dim kappa`

Logarithms are in nats, angles in radians. angle_50 is the angle to the mean within which half of the mass lies.";
