namespace TestKit;

/// <summary>
/// Whether this host's /dev/kvm is a software one. Its guests are limited; tests say where, instead of passing quietly.
/// </summary>
public static class SoftwareKvm
{
    /// <summary>True where the CPU shows neither VT-x nor AMD-V: whatever KVM is there cannot be using them.</summary>
    public static bool IsHere { get; } = !File.ReadLines("/proc/cpuinfo")
        .First(line => line.StartsWith("flags", StringComparison.Ordinal))
        .Split(' ')
        .Any(flag => flag is "vmx" or "svm");
}
