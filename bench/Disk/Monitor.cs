using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Os.Tests.Driver;

namespace Disk;

/// <summary>A monitor with the bench guest in it, logged in, all disks filled as <see cref="Layout"/> wants them.</summary>
internal sealed partial class Monitor : IDisposable
{
    private readonly Process _console;
    private readonly Guest _guest;
    private readonly Action _end;
    private readonly Dictionary<DiskKind, string> _devices = [];

    private Monitor(string name, Process console, Action end)
    {
        (Name, _console, _end) = (name, console, end);
        _guest = new Guest(console.StandardInput.BaseStream, console.StandardOutput.BaseStream);
        _guest.LogIn();
        foreach (DiskKind kind in Enum.GetValues<DiskKind>())
            _devices[kind] = $"/dev/{_guest.Run($"cd /sys/block; grep -lx {kind.Serial()} vd*/serial").Split('/')[0]}";
        _guest.Run("cd /");
        foreach (string device in _devices.Values.Distinct()) _guest.Run(Layout.Fill(device));
    }

    /// <summary>As tables call it.</summary>
    public string Name { get; }

    /// <summary>Starts bgkvm.</summary>
    /// <param name="images">The bench guest's.</param>
    /// <param name="folder">For its files.</param>
    /// <param name="layout">Of its disks.</param>
    public static Monitor StartBgkvm(string images, string folder, Layout layout)
    {
        (string raw, string blank) = MakeFiles(folder, layout);
        string home = Path.Combine(folder, "home");
        string said = Run("bgkvm", home,
            [
                "start", "bench", "--disk", $"{images}/system.img,format=raw", "--disk", $"{blank},format=raw", "--persistent", raw,
                "--kernel", $"{images}/vmlinux-6.1", "--initrd", $"{images}/initrd-6.1", "--append", CommandLine(images),
                "--memory", $"{GuestMebibytes}M", "--cpus", "1", "--detach",
            ]);
        int pid = int.Parse(ProcessId().Match(said).Groups[1].ValueSpan, CultureInfo.InvariantCulture);
        return new Monitor("bgkvm", Start("bgkvm", home, ["console", "bench"]), () => Process.GetProcessById(pid).Kill());
    }

    /// <summary>Starts QEMU.</summary>
    /// <param name="aio">threads or io_uring.</param>
    /// <param name="ioThread">Whether disks have a thread of their own, as bgkvm's have.</param>
    /// <param name="images">The bench guest's.</param>
    /// <param name="folder">For its files.</param>
    /// <param name="layout">Of its disks.</param>
    public static Monitor StartQemu(string aio, bool ioThread, string images, string folder, Layout layout)
    {
        (string raw, string blank) = MakeFiles(folder, layout);
        string system = Path.Combine(folder, "system.qcow2"), overlay = Path.Combine(folder, "overlay.qcow2");
        Run("qemu-img", folder, ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", $"{images}/system.img", system]);
        Run("qemu-img", folder, ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", blank, overlay]);
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
        return new Monitor($"QEMU {aio}{(ioThread ? ", iothread" : "")}", qemu, qemu.Kill);
    }

    /// <summary>Makes one measurement.</summary>
    public FioResult Measure(FioJob job, double seconds, int repetition) =>
        FioResult.Parse(_guest.Run(job.Command(_devices[job.Disk], seconds, repetition)));

    /// <inheritdoc/>
    public void Dispose()
    {
        _end();
        if (!_console.HasExited) _console.Kill();
        _guest.Dispose();
        _console.Dispose();
    }

    /// <summary>Memory of every guest.</summary>
    public const int GuestMebibytes = 192;

    private static string CommandLine(string images) => File.ReadAllText($"{images}/cmdline").Trim();

    /// <summary>The files of the disks: the same content for everyone.</summary>
    private static (string Raw, string Base) MakeFiles(string folder, Layout layout)
    {
        Directory.CreateDirectory(folder);
        string raw = Path.Combine(folder, "raw.img"), blank = Path.Combine(folder, "base.img");
        foreach ((string path, long size) in new[] { (raw, Layout.RawBytes), (blank, layout.OverlayBytes) })
        {
            Run("qemu-img", folder, ["create", "-q", "-f", "raw", path, $"{size}"]);
            Run("qemu-io", folder, ["-f", "raw", "-c", $"write -q -P 0xa5 0 {size}", path]);
        }

        return (raw, blank);
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
