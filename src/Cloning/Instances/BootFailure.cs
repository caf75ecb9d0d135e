using System.Text.RegularExpressions;

namespace Cloning.Instances;

/// <summary>What a console shows when an operating system has stopped booting and waits for a person, or has given up.</summary>
/// <remarks>A guest that prints one of these texts itself fails its own background reboot, and nobody else's.</remarks>
internal static class BootFailure
{
    // Said by the kernel (kernel/panic.c), systemd (src/sulogin-shell), util-linux (sulogin), initramfs-tools (the prompt of its
    // shell), dracut (its emergency shell), GRUB (kern/rescue_reader) and SeaBIOS (src/boot.c). Anywhere in a line: a program that
    // has left the cursor in the middle of one is no reason to miss a panic.
    private static readonly (string Sign, string What)[] s_signs =
    [
        (@"Kernel panic - not syncing: (?<what>[^\r\n]*)[\r\n]", "panicked: {0}"),
        (@"You are in (?<what>emergency|rescue) mode\.", "is in {0} mode"),
        (@"Give root password for maintenance", "waits in single-user mode"),
        (@"\(initramfs\) ", "did not find its root file system: its initramfs has opened a shell"),
        (@"Entering emergency mode\. Exit the shell to continue", "is in the emergency shell of its initramfs"),
        (@"grub rescue> ", "did not boot: its boot loader waits for a command"),
        (@"No bootable device\.", "did not boot: its firmware finds no bootable disk"),
    ];

    private static readonly (Regex Sign, string What)[] s_compiled = [.. s_signs.Select(sign => (Compile(sign.Sign), sign.What))];

    /// <summary>Any of them.</summary>
    public static Regex Pattern { get; } = Compile(string.Join('|', s_signs.Select(sign => sign.Sign.Replace("?<what>", "", StringComparison.Ordinal))));

    /// <summary>Which of them an output shows, so that "the OS ..." is a sentence.</summary>
    public static string Describe(string output)
    {
        foreach ((Regex sign, string what) in s_compiled)
        {
            if (sign.Match(output) is { Success: true } match)
                return string.Format(provider: null, what, ConsoleTail.Printable(match.Groups["what"].Value));
        }

        return "has stopped";
    }

    private static Regex Compile(string sign) => new(sign, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
}
