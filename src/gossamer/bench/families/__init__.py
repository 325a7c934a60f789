"""One file a family of kernels; `cases(patience)` yields its cases, each built when its turn comes."""
