namespace Vmm.Machines;

/// <summary>What a machine boots. Read again at every boot, so that an updated kernel is the one that boots.</summary>
/// <param name="Kernel">Path of a Linux bzImage or ELF vmlinux.</param>
/// <param name="Initrd">Path of an initial RAM disk, or null.</param>
/// <param name="CommandLine">Kernel command line.</param>
public sealed record BootSource(string Kernel, string? Initrd, string CommandLine);
