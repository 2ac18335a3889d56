"""The MNIST experiments of Hinton, Vinyals & Dean (2015), with seeds, intervals and controls. Start at README.md."""
