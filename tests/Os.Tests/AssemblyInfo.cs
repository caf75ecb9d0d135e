// One guest at a time: the emulated machine has one processor, and times are compared.
[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)]
