# The Python of terminals: the researcher's own environment, then the image's.
PATH="$HOME/.own-packages/bin:/opt/research/bin:$PATH"
export PATH
