using System.Buffers.Binary;
using Kvm.Interop;

namespace VirtioBlk.Store.Qcow2;

/// <summary>Moves the refcount table to a larger place when it can count no further.</summary>
/// <param name="file">The image.</param>
/// <param name="header">Its header.</param>
/// <param name="gate">Its lock.</param>
/// <param name="cache">Its metadata.</param>
/// <param name="refcounts">Its free space.</param>
/// <param name="writeBack">Its flushes.</param>
internal sealed class RefTableGrowth(
    IHostFile file, Header header, Lock gate, MetaCache cache, Refcounts refcounts, WriteBack writeBack)
{
    /// <summary>Doubles the table, unless somebody else has just done it. Called without the lock.</summary>
    /// <param name="full">What <see cref="Refcounts.TableEntries"/> was when it was found to be full.</param>
    /// <exception cref="DiskException">It is as large as it can be.</exception>
    public void Grow(long full)
    {
        lock (writeBack.Flushing)
        {
            while (true)
            {
                writeBack.Run(durable: false);
                lock (gate)
                {
                    if (refcounts.TableEntries != full) return;
                    // Meanwhile a writer may have put another block into the table, which is copied from the file.
                    if (cache.IsDirty(MetaKind.RefTable)) continue;
                    Move();
                    return;
                }
            }
        }
    }

    /// <remarks>
    /// The file has the whole table. The new one and the blocks that count it go where the old one could not count, hence nothing
    /// is. The header is switched by one write inside one sector: before it nobody knows the new table, after it nobody
    /// needs the old.
    /// </remarks>
    private void Move()
    {
        Geometry geometry = header.Geometry;
        int clusters = (int)Math.Min(header.RefTableClusters * 2L, Geometry.MaxRefTableBytes >> geometry.ClusterBits);
        if (clusters <= header.RefTableClusters)
            throw new DiskException(file.Path,
                $"has become as large as an image with clusters of {geometry.ClusterBytes} bytes can be");

        int blocks = 1;
        while ((long)blocks * geometry.RefBlockEntries < blocks + clusters) blocks++;
        long oldEntries = refcounts.TableEntries;
        long first = oldEntries * geometry.RefBlockEntries;
        long start = first << geometry.ClusterBits;
        long tableOffset = start + ((long)blocks << geometry.ClusterBits);

        byte[] bytes = new byte[(blocks + clusters) << geometry.ClusterBits];
        Span<byte> counts = bytes.AsSpan(0, blocks << geometry.ClusterBits);
        for (int i = 0; i < blocks + clusters; i++) BinaryPrimitives.WriteUInt16BigEndian(counts[(i * 2)..], 1);
        Span<byte> table = bytes.AsSpan(counts.Length);
        ReadTable(table[..(header.RefTableClusters << geometry.ClusterBits)]);
        for (int i = 0; i < blocks; i++)
        {
            long block = start + ((long)i << geometry.ClusterBits);
            BinaryPrimitives.WriteInt64BigEndian(table[((int)(oldEntries + i) * 8)..], block);
        }

        refcounts.NoteWritten(start + bytes.Length);
        HeaderWriter.Write(file, bytes, start);
        file.Sync();

        ClusterRun old = new(geometry.Index(header.RefTableOffset), header.RefTableClusters);
        Span<byte> field = stackalloc byte[12];
        BinaryPrimitives.WriteInt64BigEndian(field, tableOffset);
        BinaryPrimitives.WriteInt32BigEndian(field[8..], clusters);
        HeaderWriter.Write(file, field, Header.RefTableField);
        file.Sync();

        cache.Drop(header.RefTableOffset, (long)old.Count << geometry.ClusterBits);
        header.RefTableOffset = tableOffset;
        header.RefTableClusters = clusters;
        file.TryPunch(old.First << geometry.ClusterBits, (long)old.Count << geometry.ClusterBits);
        refcounts.Release(old);
    }

    private unsafe void ReadTable(Span<byte> table)
    {
        fixed (byte* at = table)
        {
            // SAFETY: the memory is pinned during the call and as long as told. What the file lacks at its end is
            // zeros, as the array is.
            file.Read([new IoVec((nint)at, (nuint)table.Length)], header.RefTableOffset);
        }
    }
}
