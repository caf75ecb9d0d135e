using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Reboots;

/// <summary>An instance, through the command line as any user has it.</summary>
internal sealed class Instance : IDisposable
{
    private const string Name = "bench";
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(10);
    private readonly string _images, _folder;

    /// <summary>Starts it with copies of a guest's images (scripts/guest-image), so that they stay as they are.</summary>
    internal Instance(string images, string folder, int memoryMiB)
    {
        (_images, _folder) = (images, folder);
        Environment.SetEnvironmentVariable("BGKVM_HOME", Path.Combine(folder, "home"));
        KernelSeries = [.. Directory.GetFiles(images, "vmlinuz-*").Select(k => Path.GetFileName(k)["vmlinuz-".Length..]).Order(StringComparer.Ordinal)];
        // Kernels beside the disk are booted directly; a disk with a boot loader of its own, by firmware.
        bool direct = KernelSeries.Length > 0;
        string system = direct ? "system.img" : "disk.img";
        foreach (string disk in (string[])[system, "data.img"])
            Run("cp", out _, "--sparse=always", Path.Combine(images, disk), Path.Combine(folder, disk));
        if (direct) Install(KernelSeries[0]);
        string[] boot = direct
            ? ["--kernel", $"{folder}/vmlinuz", "--initrd", $"{folder}/initrd", "--append", File.ReadAllText(Path.Combine(images, "cmdline")).Trim()]
            : ["--firmware", Path.Combine(images, "bios-microvm.bin")];
        Run("bgkvm", out _, ["start", Name, "--disk", $"{folder}/{system},format=raw", "--persistent", $"{folder}/data.img", .. boot,
            "--memory", $"{memoryMiB}M", "--detach"]);
    }

    /// <summary>The kernels there are beside the disk, if any.</summary>
    internal string[] KernelSeries { get; }

    /// <summary>Its console's socket.</summary>
    internal string ConsoleSocket => Path.Combine(_folder, "home", Name, "console.sock");

    /// <summary>Puts a kernel in place for the next boot.</summary>
    internal void Install(string series)
    {
        foreach (string part in (string[])["vmlinuz", "initrd"])
        {
            string target = Path.Combine(_folder, part);
            File.Copy(Path.Combine(_images, $"{part}-{series}"), target + ".new");
            File.Move(target + ".new", target, overwrite: true);
        }
    }

    /// <summary>Reboots it.</summary>
    /// <param name="background">How.</param>
    /// <param name="entered">Told the name of every phase that it enters.</param>
    /// <returns>The report.</returns>
    internal JsonElement Reboot(bool background, Action<string> entered)
    {
        // The heartbeat leaves an emulated processor little to be idle in, and a guest that is starved for long gives up its own services.
        string[] inBackground = ["--background", "--max-duration", "20"];
        using (Process reboot = Start("bgkvm", ["reboot", Name, "--timeout", "600", .. background ? inBackground : []]))
        {
            // "    0.683 s  forking"
            while (reboot.StandardOutput.ReadLine() is { } line)
            {
                string[] cells = line.Split("  ", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
                if (cells is [string time, string phase] && time.EndsWith(" s", StringComparison.Ordinal)
                    && double.TryParse(time[..^2], CultureInfo.InvariantCulture, out _)) entered(phase);
            }

            End(reboot);
        }

        Run("bgkvm", out string status, "status", Name, "--json");
        return JsonDocument.Parse(status).RootElement.GetProperty("lastReboot");
    }

    /// <inheritdoc/>
    public void Dispose() => Run("bgkvm", out _, "stop", Name, "--force");

    private static Process Start(string program, IEnumerable<string> arguments) =>
        Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;

    private static void Run(string program, out string output, params string[] arguments)
    {
        using Process process = Start(program, arguments);
        output = process.StandardOutput.ReadToEnd();
        End(process);
    }

    private static void End(Process process)
    {
        if (!process.WaitForExit(s_limit)) throw new TimeoutException($"{process.StartInfo.FileName} does not end");
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{process.StartInfo.FileName} {string.Join(' ', process.StartInfo.ArgumentList)} ended with {process.ExitCode}");
    }
}
