using Kvm.Interop;

namespace VirtioBlk.Store.Tests;

/// <summary>
/// A host file in memory that remembers every write and sync, so that a power cut can be played at any point.
/// </summary>
internal sealed unsafe class RecordingFile(string path, byte[] content) : IHostFile
{
    private readonly Lock _lock = new();
    private readonly List<Event> _events = [];
    private byte[] _bytes = [.. content];
    private int _length = content.Length;

    /// <summary>Something that happened: a change of bytes, or a sync if there are none.</summary>
    public sealed record Event(long Offset, byte[]? Bytes)
    {
        /// <summary>Makes the change in a copy of the file, or in the sectors of it that are to have got there.</summary>
        public void ApplyTo(ref byte[] disk, Func<int, bool> keepSector)
        {
            byte[] bytes = Bytes ?? [];
            for (int at = 0; at < bytes.Length; at += 512)
            {
                if (!keepSector(at)) continue;
                Span<byte> sector = bytes.AsSpan(at, Math.Min(512, bytes.Length - at));
                int start = (int)Offset + at;
                if (start + sector.Length > disk.Length) Array.Resize(ref disk, (int)Offset + bytes.Length);
                sector.CopyTo(disk.AsSpan(start));
            }
        }
    }

    public string Path => path;

    public long LengthBytes
    {
        get
        {
            lock (_lock) return _length;
        }
    }

    /// <summary>What has happened so far. To be read when nothing more happens.</summary>
    public IReadOnlyList<Event> Events => _events;

    /// <summary>Called before each write, with its number; may throw, or wait.</summary>
    public Action<int>? BeforeWrite { get; set; }

    /// <summary>Called after each change and each sync.</summary>
    public Action<Event>? Happened { get; set; }

    /// <summary>Writes asked for so far.</summary>
    public int Writes { get; private set; }

    /// <summary>Reads asked for so far.</summary>
    public int Reads { get; private set; }

    /// <summary>The lock it was last given, or null.</summary>
    public DiskLock? Locked { get; private set; }

    /// <summary>The content now.</summary>
    public byte[] Snapshot()
    {
        lock (_lock) return _bytes[.._length];
    }

    public long Read(ReadOnlySpan<IoVec> vectors, long offset)
    {
        lock (_lock)
        {
            Reads++;
            long done = 0;
            foreach (IoVec vector in vectors)
            {
                int part = (int)Math.Clamp(_length - offset - done, 0, (long)vector.Length);
                Span<byte> target = new((void*)vector.Base, part);
                if (part > 0) _bytes.AsSpan((int)(offset + done), part).CopyTo(target);
                done += part;
            }

            return done;
        }
    }

    public bool TryReadCached(ReadOnlySpan<IoVec> vectors, long offset) =>
        Read(vectors, offset) == IoVecCursor.TotalBytes(vectors);

    public void Write(ReadOnlySpan<IoVec> vectors, long offset)
    {
        int number;
        lock (_lock) number = Writes++;
        BeforeWrite?.Invoke(number);
        lock (_lock)
        {
            byte[] bytes = new byte[IoVecCursor.TotalBytes(vectors)];
            int at = 0;
            foreach (IoVec vector in vectors)
            {
                new ReadOnlySpan<byte>((void*)vector.Base, (int)vector.Length).CopyTo(bytes.AsSpan(at));
                at += (int)vector.Length;
            }

            Change(new Event(offset, bytes));
        }
    }

    public void Sync()
    {
        lock (_lock)
        {
            if (_events.Count == 0 || _events[^1].Bytes is null) return;
            _events.Add(new Event(0, null));
            Happened?.Invoke(_events[^1]);
        }
    }

    public bool TryPunch(long offset, long length)
    {
        lock (_lock) Change(new Event(offset, new byte[Math.Clamp(_length - offset, 0, length)]));
        return true;
    }

    public bool TryZero(long offset, long length) => TryPunch(offset, length);

    public void MakeWritable()
    {
    }

    public void Lock(DiskLock mode) => Locked = mode;

    public void Dispose()
    {
    }

    private void Change(Event change)
    {
        _events.Add(change);
        int end = (int)change.Offset + change.Bytes!.Length;
        if (end > _bytes.Length) Array.Resize(ref _bytes, Math.Max(end, _bytes.Length * 2));
        _length = Math.Max(_length, end);
        change.Bytes.CopyTo(_bytes, change.Offset);
        Happened?.Invoke(change);
    }
}
