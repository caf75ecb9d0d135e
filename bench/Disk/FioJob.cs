using System.Globalization;

namespace Disk;

/// <summary>One measurement: what fio does to which part of which disk.</summary>
/// <param name="Disk">Which of the guest's disks.</param>
/// <param name="Pattern">fio's <c>rw</c>.</param>
/// <param name="BlockBytes">Bytes of a request.</param>
/// <param name="Depth">Requests under way at a time: psync for one, libaio for more.</param>
/// <param name="OffsetBytes">Where the part of the disk begins.</param>
/// <param name="SizeBytes">How long it is.</param>
internal sealed record FioJob(DiskKind Disk, string Pattern, int BlockBytes, int Depth, long OffsetBytes, long SizeBytes)
{
    /// <summary>
    /// Requests to do instead of a time to run, each in a cluster of its own: for writes that allocate. The part of the
    /// disk is then another one each time.
    /// </summary>
    public int? Requests { get; init; }

    /// <summary>The name in tables.</summary>
    public string Name => string.Create(
        CultureInfo.InvariantCulture,
        $"{Disk.Title()}, {(BlockBytes >= 1 << 20 ? $"{BlockBytes >> 20} MiB" : $"{BlockBytes >> 10} KiB")} {Words}, depth {Depth}");

    private string Words => Pattern switch
    {
        "randread" => "random read",
        "randwrite" => "random write",
        "write" when Requests is not null => "write, one a cluster",
        "read" => "sequential read",
        _ => "sequential write",
    };

    /// <summary>fio's options for it, the first of which gives it its name.</summary>
    /// <param name="device">Path of the disk in the guest.</param>
    /// <param name="milliseconds">How long, unless <see cref="Requests"/> says how much.</param>
    /// <param name="repetition">Counts from 0.</param>
    public string Options(string device, int milliseconds, int repetition)
    {
        string engine = Depth == 1 ? "psync" : "libaio";
        string work = Requests is { } requests
            ? $"--number_ios={requests}"
            : $"--time_based --runtime={milliseconds}ms --norandommap";
        long offset = OffsetBytes + (Requests is null ? 0 : repetition * SizeBytes);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"--name=job --filename={device} --rw={Pattern}{(Requests is null ? "" : $":{Layout.ClusterBytes - BlockBytes}")} --bs={BlockBytes} --ioengine={engine} --iodepth={Depth} "
            + $"--offset={offset} --size={SizeBytes} {work}");
    }
}
