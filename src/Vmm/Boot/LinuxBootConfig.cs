namespace Vmm.Boot;

/// <summary>What to boot directly. The files are opened and read anew at every boot.</summary>
/// <param name="KernelPath">A bzImage, or an ELF vmlinux.</param>
/// <param name="InitrdPath">The initial ramdisk, or null.</param>
/// <param name="CommandLine">The kernel's command line; may be empty.</param>
public sealed record LinuxBootConfig(string KernelPath, string? InitrdPath, string CommandLine) : BootSource;
