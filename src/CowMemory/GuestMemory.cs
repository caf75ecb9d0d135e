using System.Runtime.CompilerServices;
using Kvm.Interop;

namespace CowMemory;

/// <summary>
/// A machine's memory, mapped into this process. The one place where guest-physical addresses are checked.
/// </summary>
/// <remarks>
/// Thread-safe for access; disposing needs everybody out. Every read is a copy of memory that the guest may change at
/// any moment: copy once, check the copy, never look again.
/// </remarks>
public sealed unsafe class GuestMemory : IDisposable
{
    private readonly SafeMapping _mapping;
    private volatile DirtyPages? _hostWrites;

    private GuestMemory(MemoryLayout layout, MemoryView view, SafeMapping mapping)
    {
        Layout = layout;
        View = view;
        _mapping = mapping;
    }

    /// <summary>Where the memory lies in guest-physical space.</summary>
    public MemoryLayout Layout { get; }

    /// <summary>How the file is mapped.</summary>
    public MemoryView View { get; }

    /// <summary>
    /// Host address of the mapping's first byte; region R begins at its <see cref="GuestRegion.FileOffset"/>.
    /// </summary>
    public nint HostAddress => _mapping.Address;

    /// <summary>
    /// Where this process's own writes are recorded while memory is being copied, or null. KVM's dirty log does not see
    /// them.
    /// </summary>
    public DirtyPages? HostWrites
    {
        get => _hostWrites;
        set => _hostWrites = value;
    }

    /// <summary>Maps a memory file.</summary>
    /// <param name="file">What to map; may be disposed afterwards.</param>
    /// <param name="layout">Its layout; <see cref="MemoryLayout.SizeBytes"/> must be the file's size.</param>
    /// <param name="view">Shared or private.</param>
    /// <exception cref="LibcException">mmap failed.</exception>
    public static GuestMemory Map(MemoryFile file, MemoryLayout layout, MemoryView view)
    {
        if (file.SizeBytes != layout.SizeBytes)
            throw new ArgumentException("The layout is of another size than the file", nameof(layout));
        int flags = view == MemoryView.Shared ? Libc.MAP_SHARED : Libc.MAP_PRIVATE;
        SafeMapping mapping = SafeMapping.Map(file.Fd, (nuint)file.SizeBytes, flags | Libc.MAP_NORESERVE);
        // Guest memory does not belong into a core dump of the monitor. Refused only for special mappings, which this
        // is not.
        _ = Libc.madvise(mapping.Address, mapping.Length, Libc.MADV_DONTDUMP);
        return new GuestMemory(layout, view, mapping);
    }

    /// <summary>
    /// Maps the pages that the file has into this process's page tables, so that the machine that runs on this view does not have to,
    /// page by page. For before a pause: it takes time with the memory's size. A host before Linux 5.14 does not do it.
    /// </summary>
    /// <param name="file">The file that is mapped here. Its holes stay holes.</param>
    public void Populate(MemoryFile file)
    {
        for (long at = 0; file.TryNextData(at, out long start, out long end); at = end)
            if (Libc.madvise(HostAddress + (nint)start, (nuint)(end - start), Libc.MADV_POPULATE_READ) != 0) return;
    }

    /// <summary>Looks a range up for reading.</summary>
    /// <returns>False where any byte of it is not memory.</returns>
    public bool TryRead(Gpa address, int length, out ReadOnlySpan<byte> bytes)
    {
        bool found = TryLocate(address, (ulong)length, out byte* pointer);
        // SAFETY: TryLocate checked the range; the mapping outlives every user of this object.
        bytes = found ? new ReadOnlySpan<byte>(pointer, length) : default;
        return found;
    }

    /// <summary>Looks a range up for writing, and records it as written.</summary>
    /// <remarks>
    /// Recorded when handed out, so whoever writes later than that, while memory is being copied live, calls
    /// <see cref="MarkWritten"/> afterwards or uses <see cref="TryStore{T}"/>.
    /// </remarks>
    /// <returns>False where any byte of it is not memory.</returns>
    public bool TryWrite(Gpa address, int length, out Span<byte> bytes)
    {
        bool found = TryLocate(address, (ulong)length, out byte* pointer);
        // SAFETY: as in TryRead.
        bytes = found ? new Span<byte>(pointer, length) : default;
        if (found) Record(pointer, (ulong)length);
        return found;
    }

    /// <summary>
    /// Looks a range up as an I/O vector for the kernel to read from or write to. Who has it written calls
    /// <see cref="MarkWritten"/> when the writing is over.
    /// </summary>
    /// <param name="address">Where.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="vector">The host memory.</param>
    /// <returns>False where any byte of it is not memory.</returns>
    public bool TryVector(Gpa address, uint length, out IoVec vector)
    {
        bool found = TryLocate(address, length, out byte* pointer);
        vector = new IoVec((nint)pointer, length);
        return found;
    }

    /// <summary>
    /// Records vectors as written, after the fact: recorded before, a live copy could take the record, copy the old
    /// content and never come back.
    /// </summary>
    /// <param name="vectors">Vectors that <see cref="TryVector"/> made, or parts of them.</param>
    public void MarkWritten(ReadOnlySpan<IoVec> vectors)
    {
        if (_hostWrites is null) return;
        foreach (IoVec vector in vectors) Record((byte*)vector.Base, vector.Length);
    }

    /// <summary>Reads for the monitor itself.</summary>
    /// <exception cref="GuestMemoryException">Not memory.</exception>
    public ReadOnlySpan<byte> Read(Gpa address, int length) =>
        TryRead(address, length, out ReadOnlySpan<byte> bytes)
            ? bytes
            : throw new GuestMemoryException(address, (ulong)length);

    /// <summary>Memory to write by the monitor itself.</summary>
    /// <exception cref="GuestMemoryException">Not memory.</exception>
    public Span<byte> Write(Gpa address, int length) =>
        TryWrite(address, length, out Span<byte> bytes)
            ? bytes
            : throw new GuestMemoryException(address, (ulong)length);

    /// <summary>Copies one value out.</summary>
    /// <returns>False where it is not memory.</returns>
    public bool TryLoad<T>(Gpa address, out T value) where T : unmanaged
    {
        bool found = TryLocate(address, (ulong)sizeof(T), out byte* pointer);
        value = found ? Unsafe.ReadUnaligned<T>(pointer) : default; // SAFETY: checked by TryLocate
        return found;
    }

    /// <summary>Stores one value and records it.</summary>
    /// <returns>False where it is not memory.</returns>
    public bool TryStore<T>(Gpa address, T value) where T : unmanaged
    {
        if (!TryLocate(address, (ulong)sizeof(T), out byte* pointer)) return false;
        Unsafe.WriteUnaligned(pointer, value); // SAFETY: checked by TryLocate
        Record(pointer, (ulong)sizeof(T));
        return true;
    }

    /// <summary>
    /// Reads a 16-bit word that the guest synchronises with (a ring index): nothing after it is read before it.
    /// </summary>
    /// <returns>False where it is not memory or not aligned.</returns>
    public bool TryLoadAcquire(Gpa address, out ushort value)
    {
        value = 0;
        if ((address.Value & 1) != 0 || !TryLocate(address, sizeof(ushort), out byte* pointer)) return false;
        value = Volatile.Read(ref *(ushort*)pointer); // SAFETY: checked by TryLocate, aligned
        return true;
    }

    /// <summary>
    /// Writes a 16-bit word that the guest synchronises with: everything before it is visible before it.
    /// </summary>
    /// <returns>False where it is not memory or not aligned.</returns>
    public bool TryStoreRelease(Gpa address, ushort value)
    {
        if ((address.Value & 1) != 0 || !TryLocate(address, sizeof(ushort), out byte* pointer)) return false;
        Volatile.Write(ref *(ushort*)pointer, value); // SAFETY: checked by TryLocate, aligned
        Record(pointer, sizeof(ushort));
        return true;
    }

    /// <summary>Unmaps. No machine may use it any more.</summary>
    public void Dispose() => _mapping.Dispose();

    private void Record(byte* pointer, ulong length) =>
        _hostWrites?.Mark((ulong)(pointer - (byte*)_mapping.Address), length);

    private bool TryLocate(Gpa address, ulong length, out byte* pointer)
    {
        foreach (ref readonly GuestRegion region in Layout.Regions)
        {
            if (!region.Contains(address, length)) continue;
            pointer = (byte*)_mapping.Address + region.FileOffset + (address.Value - region.Start.Value);
            return true;
        }

        pointer = null;
        return false;
    }
}
