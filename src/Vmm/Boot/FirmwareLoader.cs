using CowMemory;
using Kvm.Interop;

namespace Vmm.Boot;

/// <summary>Puts firmware where the boot processor starts.</summary>
/// <remarks>
/// The image ends at 1 MiB, in memory: SeaBIOS writes to itself. There is no second copy of it below 4 GiB, where a processor
/// begins after a reset; this one begins at the same offset below 1 MiB, and a reset makes a new machine with a new image. (What
/// SeaBIOS reads there, all ones, tells it to leave a reboot to the reset registers.)
/// </remarks>
internal static class FirmwareLoader
{
    private const int MaxSize = (int)(PlatformMap.FirmwareEnd - PlatformMap.FirmwareStart);
    private const int Granularity = 64 << 10;
    private const ulong SegmentBase = 0xF_0000;

    /// <summary>Loads it.</summary>
    /// <param name="config">Names the image.</param>
    /// <param name="memory">Of at least 1 MiB.</param>
    /// <exception cref="BootImageException">The image cannot be read, or is none.</exception>
    public static void Load(FirmwareBootConfig config, GuestMemory memory)
    {
        using BootFile file = BootFile.Open("firmware", config.Path);
        if (file.Length > MaxSize || file.Length % Granularity != 0)
            throw file.Bad($"is no firmware for this platform: an image has 64 or 128 KiB, and this has {file.Length} bytes");
        byte[] image = new byte[file.Length];
        file.Read(0, image);
        // A reset vector is a jump.
        if (image[^16] is not (0xEA or 0xE9 or 0xEB))
            throw file.Bad("is no firmware for this platform: it has no jump where a processor starts");
        image.CopyTo(memory.Write(new Gpa(PlatformMap.FirmwareEnd - (ulong)image.Length), image.Length));
    }

    /// <summary>A fresh vCPU is in the state after a reset; only where it begins is moved down.</summary>
    public static void Apply(ref KvmSregs sregs) => sregs.Cs.Base = SegmentBase;
}
