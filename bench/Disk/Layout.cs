namespace Disk;

/// <summary>The disks, and which measurement has which part of them.</summary>
internal sealed class Layout
{
    /// <summary>qcow2's default, of both monitors.</summary>
    public const int ClusterBytes = 64 << 10;

    private const long Mebibyte = 1 << 20, AllocatedBytes = 64 * Mebibyte, UnreadBytes = 64 * Mebibyte;

    /// <summary>Lays out for this many repetitions.</summary>
    /// <param name="repetitions">How often each measurement is made.</param>
    /// <param name="allocatingWrites">How many requests a measurement of allocating writes makes.</param>
    public Layout(int repetitions, int allocatingWrites)
    {
        long slice = (long)allocatingWrites * ClusterBytes;
        long next = AllocatedBytes + UnreadBytes;
        List<FioJob> jobs = [];
        foreach (DiskKind disk in Enum.GetValues<DiskKind>())
        {
            foreach (int depth in (int[])[1, 32])
            {
                bool fresh = disk == DiskKind.Unallocated;
                (long offset, long size) = fresh ? (AllocatedBytes, UnreadBytes) : (0, AllocatedBytes);
                jobs.Add(new FioJob(disk, "randread", 4096, depth, offset, size));
                if (fresh) (offset, size) = (next, slice);
                jobs.Add(new FioJob(disk, fresh ? "write" : "randwrite", 4096, depth, offset, size) { Requests = fresh ? allocatingWrites : null });
                if (fresh) next += slice * repetitions;
            }

            if (disk == DiskKind.Unallocated) continue;
            foreach (string pattern in (string[])["read", "write"]) jobs.Add(new FioJob(disk, pattern, 1 << 20, 1, 0, AllocatedBytes));
        }

        (Jobs, OverlayBytes) = (jobs, next);
    }

    /// <summary>All measurements.</summary>
    public IReadOnlyList<FioJob> Jobs { get; }

    /// <summary>Size of the raw disk.</summary>
    public static long RawBytes => AllocatedBytes;

    /// <summary>Size of the overlay and of its base.</summary>
    public long OverlayBytes { get; }

    /// <summary>Writes what shall be allocated before anything is measured: options for fio.</summary>
    /// <param name="device">Path of the disk in the guest.</param>
    public static string Fill(string device) =>
        $"--name=fill --filename={device} --rw=write --bs=1M --size={AllocatedBytes}";
}
