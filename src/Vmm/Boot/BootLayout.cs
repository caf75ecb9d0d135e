namespace Vmm.Boot;

/// <summary>
/// Where the loader puts what the kernel needs to start: in conventional memory, which the kernel itself is never
/// loaded into. The kernel copies what it wants to keep, and may use all of it as memory afterwards.
/// </summary>
internal static class BootLayout
{
    public const ulong Gdt = 0x500;
    public const ulong BootParams = 0x7000;
    public const ulong StackTop = 0x9000;
    public const ulong PageMap4 = 0x9000;
    public const ulong PageDirectoryPointers = 0xA000;
    public const ulong PageDirectories = 0xB000; // four
    public const ulong CommandLine = 0x20000;
    public const ulong CommandLineEnd = 0x30000;

    /// <summary>Kernels begin here at the lowest.</summary>
    public const ulong KernelMinimum = 0x10_0000;
}
