namespace Os.Tests.Driver;

/// <summary>
/// The demo guest's images, with fio, from the folder that BGKVM_GUEST_DIR names (scripts/guest-image bench makes it), and the installer's
/// from BGKVM_INSTALLER_DIR. Only read.
/// </summary>
internal static class Images
{
    /// <summary>The system disk, raw ext4.</summary>
    public static string SystemDisk => In("system.img");

    /// <summary>A disk with GRUB, both kernels, and the same system.</summary>
    public static string BootableDisk => In("disk.img");

    /// <summary>SeaBIOS as Debian has it.</summary>
    public static string Firmware => In("bios-microvm.bin");

    /// <summary>An empty persistent disk, raw ext4.</summary>
    public static string PersistentDisk => In("data.img");

    /// <summary>The kernel command line of the demo.</summary>
    public static string CommandLine => File.ReadAllText(In("cmdline")).Trim();

    /// <summary>A stock kernel as bzImage.</summary>
    public static string Kernel(string series) => In($"vmlinuz-{series}");

    /// <summary>The same kernel as ELF.</summary>
    public static string ElfKernel(string series) => In($"vmlinux-{series}");

    /// <summary>The initrd that goes with it.</summary>
    public static string Initrd(string series) => In($"initrd-{series}");

    /// <summary>The kernel of Debian's network installer.</summary>
    public static string InstallerKernel => In("vmlinuz", "BGKVM_INSTALLER_DIR");

    /// <summary>The installer itself.</summary>
    public static string InstallerInitrd => In("initrd", "BGKVM_INSTALLER_DIR");

    private static string In(string file, string variable = "BGKVM_GUEST_DIR")
    {
        string folder = Environment.GetEnvironmentVariable(variable) is { Length: > 0 } given ? given
            : throw new InvalidOperationException($"{variable} does not say where the guest's images are");
        string path = Path.GetFullPath(Path.Combine(folder, file));
        return File.Exists(path) ? path : throw new FileNotFoundException($"{variable} has no {file}", path);
    }
}
