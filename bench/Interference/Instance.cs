using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using Kvm.Interop;
using Os.Tests.Driver;

namespace Interference;

/// <summary>The instance whose work is measured, through the command line as any user has it.</summary>
internal sealed class Instance : IDisposable
{
    private const string Name = "bench", MemoryMiB = "192";
    private const int DataBytes = 64 << 20;
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(10);
    private readonly string _base;

    /// <summary>Starts it.</summary>
    /// <param name="images">The bench guest's.</param>
    /// <param name="folder">For its files.</param>
    public Instance(string images, string folder)
    {
        Environment.SetEnvironmentVariable("BGKVM_HOME", Path.Combine(folder, "home"));
        string data = Path.Combine(folder, "data.img");
        // Written and past the page cache, or reads would never reach the host's disk.
        File.WriteAllBytes(data, RandomNumberGenerator.GetBytes(DataBytes));
        _base = Path.Combine(folder, "system.img");
        File.Copy($"{images}/system.img", _base);
        using (FileStream file = File.OpenWrite(_base)) file.Flush(flushToDisk: true);
        Run("start", Name, "--disk", $"{_base},format=raw", "--persistent", $"{data},cache=none", "--kernel", $"{images}/vmlinux-6.1",
            "--initrd", $"{images}/initrd-6.1", "--append", File.ReadAllText($"{images}/cmdline").Trim(), "--memory", $"{MemoryMiB}M", "--detach");
        Guest = Attach(Path.Combine(folder, "home", Name, "console.sock"));
        LogIn();
    }

    /// <summary>Who sits at its console.</summary>
    public Guest Guest { get; }

    /// <summary>The persistent disk, as the guest calls it.</summary>
    public string Device { get; private set; } = "";

    /// <summary>Has something done while a shadow is under way, which is then given up.</summary>
    /// <returns>False: the shadow was ready before the work was done.</returns>
    public bool While(ShadowKind kind, Action work)
    {
        if (kind.Priority is null)
        {
            using IdleLoop? loop = kind.Loop ? new IdleLoop() : null;
            work();
            return true;
        }

        // The new OS comes from the host's disk, as it does after an update.
        Succeed("dd", "status=none", $"if={_base}", "iflag=nocache", "count=0");
        using Process reboot = StartReboot(kind.Priority);
        while (reboot.StandardOutput.ReadLine() is { } line && !line.Contains("old OS shuts down", StringComparison.Ordinal))
        {
        }

        int shadow = Status().GetProperty("shadowPid").GetInt32();
        Adjust(kind, shadow);
        try
        {
            work();
        }
        catch (FormatException) when (!IsThere())
        {
            // What its kernel said when it was brought to rest, or the new OS's prompt, came in between.
        }

        bool lasted = IsThere() && Kill(shadow);
        reboot.StandardOutput.ReadToEnd();
        if (!reboot.WaitForExit(s_limit)) throw new TimeoutException("the reboot does not end");
        if (!lasted) LogIn();
        return lasted;

        bool IsThere() => !reboot.HasExited && Directory.Exists($"/proc/{shadow}");
    }

    /// <summary>Reboots in the background, to the end.</summary>
    /// <returns>How long it took.</returns>
    public TimeSpan Reboot(string priority)
    {
        using Process reboot = StartReboot(priority);
        reboot.StandardOutput.ReadToEnd();
        if (!reboot.WaitForExit(s_limit)) throw new TimeoutException("the reboot does not end");
        JsonElement report = Status().GetProperty("lastReboot");
        if (report.GetProperty("outcome").GetString() != "switched") throw new InvalidOperationException($"the reboot ended as {report}");
        LogIn();
        return TimeSpan.FromMilliseconds(report.GetProperty("totalMillis").GetInt64());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Guest.Dispose();
        Run("stop", Name, "--force");
    }

    /// <returns>False: it had just ended by itself.</returns>
    private static bool Kill(int shadow)
    {
        try
        {
            using Process process = Process.GetProcessById(shadow);
            process.Kill();
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    private static Process StartReboot(string priority) =>
        Start("bgkvm", "reboot", Name, "--background", "--timeout", "900", "--max-duration", "900", "--priority", priority);

    /// <summary>Gives a shadow one mechanism alone, or takes one away: from outside, as any administrator could.</summary>
    private static void Adjust(ShadowKind kind, int shadow)
    {
        string group = Directory.GetDirectories("/sys/fs/cgroup", $"bgkvm-{Name}-shadow-{shadow}", SearchOption.AllDirectories).FirstOrDefault()
            ?? throw new InvalidOperationException("the shadow has no cgroup: this host cannot tell the mechanisms apart");
        if (!kind.Memory) Set("memory.high", "max");
        if (kind.Cpu is "idle" or "none") Set("cpu.idle", kind.Cpu == "idle" ? "1" : "0");
        if (kind.Disk is { } lowest && File.Exists(Path.Combine(group, "io.weight"))) Set("io.weight", lowest ? "1" : "100");
        if (kind.Frozen) Set("cgroup.freeze", "1");
        foreach (string task in Directory.EnumerateDirectories($"/proc/{shadow}/task"))
        {
            int id = int.Parse(Path.GetFileName(task), CultureInfo.InvariantCulture);
            if (kind.Cpu == "nice") _ = Libc.SetNice(id, 19);
            if (kind.Disk is { } idle) _ = Libc.ioprio_set(1, id, idle ? 3 << 13 : 0);
        }

        void Set(string file, string value) => File.WriteAllText(Path.Combine(group, file), value);
    }

    private static JsonElement Status() => JsonDocument.Parse(Run("status", Name, "--json")).RootElement;

    private static Process Start(string program, params string[] arguments) =>
        Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;

    private static string Run(params string[] arguments) => Succeed("bgkvm", arguments);

    private static string Succeed(string program, params string[] arguments)
    {
        using Process process = Start(program, arguments);
        string output = process.StandardOutput.ReadToEnd();
        if (!process.WaitForExit(s_limit) || process.ExitCode != 0)
            throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {process.StandardError.ReadToEnd()}");
        return output;
    }

    private static Guest Attach(string socketPath)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(socketPath));
        NetworkStream stream = new(socket, ownsSocket: true);
        return new Guest(stream, stream);
    }

    /// <summary>Logs in at the next prompt, and gets the guest ready. The connection is the same all along.</summary>
    private void LogIn()
    {
        Guest.LogIn();
        Device = $"/dev/{Guest.Run("cd /sys/block; grep -lx persistent0 vd*/serial").Split('/')[0]}";
        Guest.Run("cd /");
        Workload.Prepare(Guest);
    }
}
