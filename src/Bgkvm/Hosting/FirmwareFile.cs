using Cloning.Instances;

namespace Bgkvm.Hosting;

/// <summary>The firmware that <c>--firmware</c> names.</summary>
internal static class FirmwareFile
{
    /// <summary>Stands for the host's own.</summary>
    public const string Auto = "auto";

    // Of Debian's package seabios. QEMU's own bios-microvm.bin may be another program, qboot, which starts no boot loader.
    private const string DebianPath = "/usr/share/seabios/bios-microvm.bin";

    /// <summary>Finds it.</summary>
    /// <param name="given">A path, or <see cref="Auto"/>.</param>
    /// <returns>An absolute path.</returns>
    /// <exception cref="InstanceException">The host has none.</exception>
    public static string Resolve(string given) => given != Auto
        ? Path.GetFullPath(given)
        : File.Exists(DebianPath)
            ? DebianPath
            : throw new InstanceException(
                $"there is no {DebianPath} here: install the Debian package seabios, or name a firmware image with --firmware FILE",
                ExitCode.HostLacks);
}
