namespace Vmm.Boot;

/// <summary>A kernel in guest memory.</summary>
/// <param name="Entry">Its 64-bit entry point, guest-physical.</param>
/// <param name="End">First address behind what it needs to start.</param>
/// <param name="CommandLineLimit">Most bytes of command line it takes, without the zero at the end.</param>
/// <param name="InitrdLimit">Highest address any byte of the initrd may have.</param>
/// <param name="SetupHeader">Its setup header, from offset 0x1F1 of the zero page on.</param>
internal sealed record KernelImage(
    ulong Entry, ulong End, uint CommandLineLimit, ulong InitrdLimit, byte[] SetupHeader);
