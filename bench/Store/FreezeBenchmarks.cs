using System.Diagnostics;
using BenchmarkDotNet.Attributes;
using Kvm.Interop;
using VirtioBlk.Store;

namespace Store;

/// <summary>
/// What the disk adds to a clone pause, against its size: half of it is allocated, and the metadata of the last writes
/// waits in memory.
/// </summary>
public unsafe class FreezeBenchmarks
{
    private const int WritesBefore = 256;

    private readonly byte[] _sector = new byte[4096];
    private string _folder = "";
    private Qcow2Image? _disk;
    private Qcow2Image? _overlay;
    private int _iteration;

    /// <summary>Disk size, GiB.</summary>
    [Params(1, 10, 100)]
    public int GiB { get; set; }

    private string DiskPath => Path.Combine(_folder, "disk");

    private string OverlayPath => Path.Combine(_folder, "overlay");

    /// <summary>Makes the disk. Its data is a hole in the file: only the tables matter here.</summary>
    [GlobalSetup]
    public void MakeDisk()
    {
        _folder = Directory.CreateTempSubdirectory("bgkvm-freeze-").FullName;
        QemuImg("create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", DiskPath, $"{GiB * 512L << 20}");
        QemuImg("resize", "-q", "-f", "qcow2", DiskPath, $"{GiB}G");
    }

    /// <summary>What a running guest and the preparation of a fork leave behind.</summary>
    [IterationSetup]
    public void Prepare()
    {
        _disk = Qcow2Image.Open(DiskPath, readOnly: false);
        Random random = new(++_iteration);
        fixed (byte* at = _sector)
        {
            for (int i = 0; i < WritesBefore; i++)
                _disk.Write([new IoVec((nint)at, 4096)], random.NextInt64(_disk.LengthBytes / 4096) * 4096);
        }

        Qcow2Image.Create(OverlayPath, _disk.LengthBytes, DiskPath, DiskFormat.Qcow2);
    }

    /// <summary>What happens in the pause.</summary>
    [Benchmark]
    public void Freeze() => _disk!.Freeze();

    /// <summary>The same, and the overlay opened on top, which a fork does before the pause.</summary>
    [Benchmark]
    public void FreezeAndOpenOverlay()
    {
        _disk!.Freeze();
        _overlay = Qcow2Image.Open(OverlayPath, readOnly: false, _disk, ownsBacking: false);
    }

    /// <summary>Not timed: the frozen layer's metadata is written.</summary>
    [IterationCleanup]
    public void CleanUp()
    {
        _overlay?.Dispose();
        _overlay = null;
        _disk!.Dispose();
        File.Delete(OverlayPath);
    }

    /// <summary>Deletes the disk.</summary>
    [GlobalCleanup]
    public void DeleteDisk() => Directory.Delete(_folder, recursive: true);

    private static void QemuImg(params string[] args)
    {
        using Process process = Process.Start("qemu-img", args);
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"qemu-img {string.Join(' ', args)}: exit {process.ExitCode}");
    }
}
