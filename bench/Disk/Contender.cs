using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Os.Tests.Driver;

namespace Disk;

/// <summary>A monitor with the bench guest in it, logged in, all disks filled as <see cref="Layout"/> wants them.</summary>
internal sealed partial class Contender : IDisposable
{
    private readonly Process _console;
    private readonly Guest _guest;
    private readonly Action _end;
    private readonly Dictionary<DiskKind, string> _devices = [];

    private Contender(string name, Process console, Action end)
    {
        (Name, _console, _end) = (name, console, end);
        _guest = new Guest(console.StandardInput.BaseStream, console.StandardOutput.BaseStream);
        _guest.LogIn();
        foreach (DiskKind kind in Enum.GetValues<DiskKind>())
            _devices[kind] = $"/dev/{_guest.Run($"cd /sys/block; grep -lx {kind.Serial()} vd*/serial").Split('/')[0]}";
        _guest.Run("cd /");
        foreach (string device in _devices.Values.Distinct()) _guest.Run($"{Fio} --output-format=terse {Layout.Fill(device)}");
    }

    /// <summary>As tables call it.</summary>
    public string Name { get; }

    /// <summary>Starts bgkvm.</summary>
    /// <param name="images">The bench guest's.</param>
    /// <param name="folder">For its files.</param>
    /// <param name="basis">Of its overlay.</param>
    public static Contender StartBgkvm(string images, string folder, string basis)
    {
        string raw = MakeRaw(folder);
        string home = Path.Combine(folder, "home");
        string said = Run("bgkvm", home,
            [
                "start", "bench", "--disk", $"{images}/system.img,format=raw", "--disk", $"{basis},format=raw", "--persistent", raw,
                "--kernel", $"{images}/vmlinux-6.1", "--initrd", $"{images}/initrd-6.1", "--append", CommandLine(images),
                "--memory", $"{GuestMebibytes}M", "--cpus", "1", "--detach",
            ]);
        int pid = int.Parse(ProcessId().Match(said).Groups[1].ValueSpan, CultureInfo.InvariantCulture);
        return new Contender("bgkvm", Start("bgkvm", home, ["console", "bench"]), () => Process.GetProcessById(pid).Kill());
    }

    /// <summary>Starts QEMU.</summary>
    /// <param name="aio">threads or io_uring.</param>
    /// <param name="ioThread">Whether disks have a thread of their own, as bgkvm's have.</param>
    /// <param name="images">The bench guest's.</param>
    /// <param name="folder">For its files.</param>
    /// <param name="basis">Of its overlay.</param>
    public static Contender StartQemu(string aio, bool ioThread, string images, string folder, string basis)
    {
        string raw = MakeRaw(folder);
        string system = Path.Combine(folder, "system.qcow2"), overlay = Path.Combine(folder, "overlay.qcow2");
        Run("qemu-img", folder, ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", $"{images}/system.img", system]);
        Run("qemu-img", folder, ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", basis, overlay]);
        List<string> arguments =
        [
            "-M", "microvm,acpi=on,pic=on,pit=on,rtc=on,isa-serial=on,ioapic2=off", "-accel", "kvm", "-cpu", "host", "-smp", "1",
            "-m", $"{GuestMebibytes}M", "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
            "-global", "virtio-mmio.force-legacy=false",
            "-kernel", $"{images}/vmlinux-6.1", "-initrd", $"{images}/initrd-6.1", "-append", CommandLine(images),
        ];
        // Of microvm's slots the highest one is the first disk that Linux sees.
        int bus = 3;
        foreach ((string file, string format, string serial) in new[]
        {
            (system, "qcow2", "system0"), (overlay, "qcow2", "system1"), (raw, "raw", "persistent0"),
        })
        {
            bus--;
            string thread = ioThread ? $",iothread=thread{bus}" : "";
            if (ioThread) arguments.AddRange(["-object", $"iothread,id=thread{bus}"]);
            arguments.AddRange(
            [
                "-drive", $"if=none,id=drive{bus},format={format},file={file},cache=writeback,aio={aio},discard=unmap",
                "-device", $"virtio-blk-device,drive=drive{bus},serial={serial},bus=virtio-mmio-bus.{bus}{thread}",
            ]);
        }

        Process qemu = Start("qemu-system-x86_64", folder, arguments);
        return new Contender($"QEMU {aio}{(ioThread ? ", iothread" : "")}", qemu, qemu.Kill);
    }

    /// <summary>Makes measurements, one after the other; all in one fio, whose start takes as long as one of them.</summary>
    /// <returns>Requests a second.</returns>
    /// <exception cref="InvalidDataException">fio failed.</exception>
    public IReadOnlyList<double> Measure(IReadOnlyList<FioJob> jobs, int milliseconds, int repetition)
    {
        // A line that is typed has to be short.
        _guest.Run("rm -f /tmp/jobs");
        foreach (FioJob job in jobs)
            _guest.Run($"echo '{job.Options(_devices[job.Disk], milliseconds, repetition)} --stonewall' >>/tmp/jobs");
        string[] lines = _guest.Run(
            $"{Fio} --gtod_reduce=1 --output-format=terse $(cat /tmp/jobs) | cut -d ';' -f {TerseFields}").Split('\n');
        return lines.Length == jobs.Count
            ? [.. jobs.Zip(lines, RequestsPerSecond)]
            : throw new InvalidDataException($"fio failed: {string.Join('\n', lines)}");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _end();
        if (!_console.HasExited) _console.Kill();
        _guest.Dispose();
        _console.Dispose();
    }

    // Version 3 of the terse format: error, then KiB and milliseconds of reads, and of writes.
    private const string TerseFields = "5,6,9,47,50";

    private const string Fio = "fio --direct=1 --thread";

    private static double RequestsPerSecond(FioJob job, string line)
    {
        double[] fields = [.. line.Split(';').Select(field => double.Parse(field, CultureInfo.InvariantCulture))];
        return fields is [0, var read, var readTime, var written, var writeTime] && read + written > 0
            ? (read + written) * 1024 / job.BlockBytes / (Math.Max(readTime, writeTime) / 1000)
            : throw new InvalidDataException($"fio failed: {line}");
    }

    /// <summary>Memory of every guest.</summary>
    public const int GuestMebibytes = 192;

    private static string CommandLine(string images) => File.ReadAllText($"{images}/cmdline").Trim();

    /// <summary>The base of all overlays.</summary>
    public static string MakeBase(string folder, Layout layout)
    {
        Directory.CreateDirectory(folder);
        string path = Path.Combine(folder, "base.img");
        Run("qemu-img", folder, ["create", "-q", "-f", "raw", path, $"{layout.OverlayBytes}"]);
        Run("qemu-io", folder, ["-f", "raw", "-c", $"write -q -P 0xa5 0 {layout.OverlayBytes}", path]);
        return path;
    }

    private static string MakeRaw(string folder)
    {
        Directory.CreateDirectory(folder);
        string path = Path.Combine(folder, "raw.img");
        Run("qemu-img", folder, ["create", "-q", "-f", "raw", path, $"{Layout.RawBytes}"]);
        return path;
    }

    private static Process Start(string program, string home, IEnumerable<string> arguments)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true };
        start.Environment["BGKVM_HOME"] = home;
        return Process.Start(start)!;
    }

    private static string Run(string program, string home, IEnumerable<string> arguments)
    {
        using Process process = Start(program, home, arguments);
        process.StandardInput.Close();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} ended with {process.ExitCode}");
    }

    [GeneratedRegex("process ([0-9]+)")]
    private static partial Regex ProcessId();
}
