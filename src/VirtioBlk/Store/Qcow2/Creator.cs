using System.Buffers.Binary;

namespace VirtioBlk.Store.Qcow2;

/// <summary>Lays out a new image: header, refcount table, refcount blocks, L1 table; no guest data.</summary>
internal static class Creator
{
    /// <summary>Writes a new image into an empty file and makes it durable.</summary>
    public static void Write(
        IHostFile file, int clusterBits, long diskBytes, string? backingName, DiskFormat? backingFormat)
    {
        Geometry geometry = new(clusterBits);
        long l1Entries = geometry.L1Entries(diskBytes);
        if (l1Entries * 8 > Geometry.MaxL1Bytes)
            throw new DiskException(file.Path,
                $"{diskBytes} bytes are too many for clusters of {geometry.ClusterBytes} bytes");

        long l1Clusters = geometry.Clusters(l1Entries * 8);
        long blocks = 1;
        long tables = 1;
        long Total() => 1 + tables + blocks + l1Clusters;
        while (blocks * geometry.RefBlockEntries < Total() || tables * geometry.RefTableEntries < blocks)
        {
            if (blocks * geometry.RefBlockEntries < Total()) blocks++;
            else tables++;
        }

        long bytes = (1 + tables + blocks) << clusterBits;
        byte[] content = new byte[bytes];
        Header header = Header.ForNew(
            file.Path, clusterBits, diskBytes, bytes, l1Entries, geometry.ClusterBytes, tables);
        for (int i = 0; i < blocks; i++)
        {
            long block = (1 + tables + i) << clusterBits;
            BinaryPrimitives.WriteInt64BigEndian(content.AsSpan(geometry.ClusterBytes + i * 8), block);
        }

        for (long i = 0; i < Total(); i++)
            BinaryPrimitives.WriteUInt16BigEndian(content.AsSpan((int)(((1 + tables) << clusterBits) + i * 2)), 1);

        HeaderWriter.Write(file, content, 0);
        file.WriteZeros(bytes, l1Clusters << clusterBits);
        BackingChange.Stage(file, header, backingName, backingFormat).Write();
        file.Sync();
    }
}
