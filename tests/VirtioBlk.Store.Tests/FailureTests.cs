using Kvm.Interop;

namespace VirtioBlk.Store.Tests;

/// <summary>
/// The host fails at some write: what was there stays, the image stays sound, and it goes on when the host does.
/// </summary>
public sealed class FailureTests : IDisposable
{
    private const int DiskBytes = 2 << 20;
    private const int ClusterBytes = 4096;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Every_write_can_fail_once()
    {
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, DiskBytes, clusterBytes: ClusterBytes);
        byte[] empty = File.ReadAllBytes(path);
        int failures = 0;
        for (int failing = 0; ; failing++)
        {
            using RecordingFile file = new(path, empty);
            int bad = failing;
            file.BeforeWrite = number =>
            {
                if (number == bad) throw new LibcException("pwritev", Libc.ENOSPC, path);
            };
            CrashWorkload workload = new(DiskBytes, ClusterBytes, seed: 9);
            bool failed = false;
            using (Qcow2Image image = Qcow2Image.Open(file, readOnly: false, null, 32 << 10))
            {
                for (int i = 0; i < 40; i++)
                {
                    try
                    {
                        workload.Next(image);
                    }
                    catch (LibcException e)
                    {
                        Assert.Equal(Libc.ENOSPC, e.Errno);
                        failed = true;
                    }
                }

                file.BeforeWrite = null;
                workload.AssertHolds(image.ReadAll(), $"failure at write {failing}");
                image.Flush();
            }

            if (!failed) break;
            failures++;
            if (failing % 7 != 0) continue;
            File.WriteAllBytes(path, file.Snapshot());
            Assert.True(Qemu.Check(path, out string output) is 0 or 3, output);
            workload.AssertHolds(Qemu.ReadAll(path, "qcow2", _folder), $"failure at write {failing}, by QEMU");
        }

        Assert.InRange(failures, 40, 1000);
    }

    [Fact]
    public void A_backing_whose_name_is_not_durable_is_not_taken()
    {
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, DiskBytes, "old", DiskFormat.Raw);
        using UnreadableBackend before = new(DiskBytes), after = new(DiskBytes);
        using RecordingFile file = new(path, File.ReadAllBytes(path));
        using Qcow2Image image = Qcow2Image.Open(file, readOnly: false, before, ownsBacking: false);
        file.Happened = happened =>
        {
            if (happened.Bytes is null) throw new LibcException("fdatasync", Libc.ENOSPC, path);
        };
        Assert.Throws<LibcException>(() => image.SetBacking(after, "new", DiskFormat.Raw));
        Assert.Same(before, image.Backing);
        file.Happened = null;
        Assert.Same(before, image.SetBacking(after, "new", DiskFormat.Raw));
        Assert.Same(after, image.Backing);
    }

    [Fact]
    public void A_full_host_disk_is_an_error_of_the_write_and_of_nothing_else()
    {
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, DiskBytes);
        using RecordingFile file = new(path, File.ReadAllBytes(path));
        using Qcow2Image image = Qcow2Image.Open(file, readOnly: false, null);
        image.WritePattern(0, 65536, 1);
        file.BeforeWrite = _ => throw new LibcException("pwritev", Libc.ENOSPC, path);
        LibcException e = Assert.Throws<LibcException>(() => image.WritePattern(1 << 20, 65536, 2));
        Assert.Equal($"pwritev failed for {path}: No space left on device (errno 28)", e.Message);
        Assert.Equal(65536, image.AllocatedBytes);
        file.BeforeWrite = null;
        image.Flush();
        File.WriteAllBytes(path, file.Snapshot());
        Qemu.AssertClean(path);
        Assert.Equal(DiskIo.Pattern(65536, 1), image.ReadBytes(0, 65536));
        Assert.Equal(new byte[65536], image.ReadBytes(1 << 20, 65536));
    }
}
