using System.Diagnostics;
using System.Globalization;

namespace Report;

/// <summary>What a measurement ran on.</summary>
/// <param name="Date">The day, UTC, as yyyy-MM-dd.</param>
/// <param name="Commit">The source's commit; <c>+</c> behind it when files had been changed since.</param>
/// <param name="Processor">As the host's /proc/cpuinfo has it.</param>
/// <param name="Processors">How many.</param>
/// <param name="MemoryMiB">The host's memory.</param>
/// <param name="Kernel">The host's kernel.</param>
/// <param name="Kvm">"hardware KVM" or "software KVM".</param>
/// <param name="Runtime">The .NET runtime.</param>
/// <param name="Qemu">QEMU's version, or "none".</param>
/// <param name="Load">The load average over a minute when the report was made.</param>
public sealed record HostDescription(
    string Date, string Commit, string Processor, int Processors, long MemoryMiB, string Kernel, string Kvm, string Runtime, string Qemu, double Load)
{
    /// <summary>Describes this host.</summary>
    public static HostDescription Read()
    {
        string[] cpu = File.ReadAllLines("/proc/cpuinfo");
        string memory = File.ReadLines("/proc/meminfo").First(l => l.StartsWith("MemTotal:", StringComparison.Ordinal));
        // As scripts/rig tells them apart: hardware virtualization shows its flag.
        bool hardware = Value(cpu, "flags").Split(' ').Intersect(["vmx", "svm"]).Any();
        string changed = Output("git", "status", "--porcelain", "--untracked-files=no").Length > 0 ? "+" : "";
        return new HostDescription(
            DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
            Output("git", "rev-parse", "--short", "HEAD") + changed,
            Value(cpu, "model name"),
            cpu.Count(l => l.StartsWith("processor", StringComparison.Ordinal)),
            long.Parse(memory.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024,
            "Linux " + string.Join('.', File.ReadAllText("/proc/sys/kernel/osrelease").Trim().Split('-')[0].Split('.').Take(3)),
            hardware ? "hardware KVM" : "software KVM",
            $".NET {Environment.Version}",
            Output("qemu-system-x86_64", "--version").Split('\n')[0] is { Length: > 0 } version
                ? version.Replace("QEMU emulator version ", "", StringComparison.Ordinal)
                : "none",
            double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture));
    }

    private static string Value(string[] lines, string key) =>
        lines.FirstOrDefault(l => l.StartsWith(key, StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? "unknown";

    private static string Output(string program, params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(
                new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            string output = process.StandardOutput.ReadToEnd().Trim();
            process.WaitForExit();
            return process.ExitCode == 0 ? output : "";
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return ""; // not installed
        }
    }
}
