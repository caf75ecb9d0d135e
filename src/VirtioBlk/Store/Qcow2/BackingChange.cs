using System.Text;

namespace VirtioBlk.Store.Qcow2;

/// <summary>Makes an image name another backing file, so that a crash leaves the old name or the new one.</summary>
/// <remarks>
/// All but a long name is in the first sector, which is written once; a long name goes, durably, to a place in the
/// first cluster that the header does not use yet.
/// </remarks>
internal sealed class BackingChange
{
    /// <summary>What a disk writes as a unit.</summary>
    private const int SectorBytes = 512;

    private const long FirstPlace = SectorBytes;
    private const long SecondPlace = FirstPlace + 2048;

    private readonly IHostFile _file;
    private readonly Header _header;
    private readonly string? _name;
    private readonly string? _format;
    private readonly byte[]? _bytes;
    private readonly long _place;

    private BackingChange(IHostFile file, Header header, string? name, DiskFormat? format)
    {
        _file = file;
        _header = header;
        _name = name;
        _format = format?.Name();
        _bytes = name is null ? null : Encoding.UTF8.GetBytes(name);
        // Two places, each as long as a name can be and as far from the other: the old name touches at most one.
        bool firstIsFree = header.BackingNameEnd <= FirstPlace
            || header.BackingNameStart >= FirstPlace + (_bytes?.Length ?? 0);
        _place = firstIsFree ? FirstPlace : SecondPlace;
    }

    /// <summary>
    /// Checks that there is room, and writes the name if it does not fit into the first sector. The image is unchanged.
    /// </summary>
    /// <param name="file">The image.</param>
    /// <param name="header">Its header.</param>
    /// <param name="name">The name as it is to stand in the image, or null for no backing file.</param>
    /// <param name="format">Its format.</param>
    /// <exception cref="DiskException">There is no room.</exception>
    public static BackingChange Stage(IHostFile file, Header header, string? name, DiskFormat? format)
    {
        BackingChange change = new(file, header, name, format);
        int length = change._bytes?.Length ?? 0;
        if (length > Header.MaxBackingNameBytes)
            throw new DiskException(file.Path,
                $"cannot name a backing file whose path is longer than {Header.MaxBackingNameBytes} bytes");
        byte[]? sector = change.Build(out long start);
        bool isApart = change._bytes is not null && start == change._place;
        if (sector is null || (isApart && start + length > header.Geometry.ClusterBytes))
            throw new DiskException(file.Path, "its header has no room to name that backing file");
        if (isApart)
        {
            HeaderWriter.Write(file, change._bytes, start);
            file.Sync();
        }

        return change;
    }

    /// <summary>Writes the first sector. Durable after the next sync.</summary>
    public void Write()
    {
        byte[] sector = Build(out long start)!;
        HeaderWriter.Write(_file, sector, 0);
        _header.SetBacking(_name, _format, start, _bytes?.Length ?? 0);
    }

    private byte[]? Build(out long start)
    {
        start = _place;
        return _header.Build(_bytes, _format, SectorBytes, ref start);
    }
}
