using CowMemory;

namespace Vmm.Boot;

/// <summary>
/// What stands where a PC's firmware begins. A kernel whose last way to reboot is the BIOS (Linux, by default, on a machine like
/// this) switches to real mode and jumps to F000:FFF0; without firmware it would run through empty memory for ever.
/// </summary>
internal static class ResetVector
{
    private static readonly Gpa s_start = new(0xF_FFF0);

    /// <summary>Writes it. The memory map calls the area reserved, so the kernel leaves it alone.</summary>
    public static void Write(GuestMemory memory)
    {
        ReadOnlySpan<byte> code =
        [
            0xB0, 0xFE, // mov al, 0xFE
            0xE6, 0x64, // out 0x64, al     keyboard controller: pulse the reset line
            0xF4, //       hlt
            0xEB, 0xFD, // jmp to the hlt
        ];
        code.CopyTo(memory.Write(s_start, code.Length));
    }
}
