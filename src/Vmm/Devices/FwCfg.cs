using System.Buffers.Binary;
using System.Text;
using CowMemory;
using Kvm.Interop;
using Vmm.Buses;

namespace Vmm.Devices;

/// <summary>
/// QEMU's firmware configuration device: what firmware wants to know of its machine, by numbered items and named files. Ports
/// 0x510 (selector), 0x511 (data), 0x514 (address of a transfer). QEMU's docs/specs/fw_cfg.rst is the specification.
/// </summary>
/// <remarks>
/// Content never changes and follows from what the machine consists of, so its state is only where the guest is reading.
/// An item that does not exist, and what lies behind an item's end, reads as zeros. Nothing can be written. Thread-safe.
/// </remarks>
public sealed class FwCfg : IPortDevice
{
    /// <summary>Ports from the selector to the end of the transfer address.</summary>
    public const byte Ports = 12;

    private const int SelectorPort = 0, DataPort = 1, AddressHighPort = 4, AddressLowPort = 8;
    private const ushort SignatureKey = 0x00, FeaturesKey = 0x01, FileDirectoryKey = 0x19, FirstFileKey = 0x20;
    private const uint HasPorts = 1, HasTransfers = 2;
    private const int FileNameSize = 56;

    // Of a transfer's control word; the selector is in its upper half.
    private const uint ErrorBit = 1, ReadBit = 2, SkipBit = 4, SelectBit = 8, WriteBit = 16;
    private const int AccessSize = 16;
    // A vCPU thread copies it, and may be asked to pause meanwhile.
    private const uint MaxTransfer = 16 << 20;

    private readonly Lock _gate = new();
    private readonly GuestMemory _memory;
    private readonly Dictionary<ushort, byte[]> _items;
    private ushort _selected;
    private uint _offset;
    private uint _addressHigh;

    /// <summary>Makes the device.</summary>
    /// <param name="memory">Where transfers go.</param>
    /// <param name="items">Numbered items besides signature, features and the directory.</param>
    /// <param name="files">Named files; names of up to 55 ASCII characters.</param>
    public FwCfg(
        GuestMemory memory, IEnumerable<(ushort Key, byte[] Content)> items, IEnumerable<(string Name, byte[] Content)> files)
    {
        _memory = memory;
        _items = items.ToDictionary(item => item.Key, item => item.Content);
        _items[SignatureKey] = [.. "QEMU"u8];
        _items[FeaturesKey] = BitConverter.GetBytes(HasPorts | HasTransfers);
        (string Name, byte[] Content)[] sorted = [.. files.OrderBy(file => file.Name, StringComparer.Ordinal)];
        byte[] directory = new byte[4 + (sorted.Length * (8 + FileNameSize))];
        BinaryPrimitives.WriteInt32BigEndian(directory, sorted.Length);
        for (int i = 0; i < sorted.Length; i++)
        {
            ushort key = (ushort)(FirstFileKey + i);
            Span<byte> entry = directory.AsSpan(4 + (i * (8 + FileNameSize)));
            BinaryPrimitives.WriteInt32BigEndian(entry, sorted[i].Content.Length);
            BinaryPrimitives.WriteUInt16BigEndian(entry[4..], key);
            int length = Encoding.ASCII.GetBytes(sorted[i].Name, entry.Slice(8, FileNameSize - 1));
            if (length != sorted[i].Name.Length) throw new ArgumentException("A file's name is too long", nameof(files));
            _items[key] = sorted[i].Content;
        }

        _items[FileDirectoryKey] = directory;
    }

    /// <inheritdoc/>
    public void Read(ushort offset, Span<byte> data)
    {
        lock (_gate)
        {
            // A string instruction reads the same port again and again: every byte is the item's next one.
            if (offset == DataPort) ReadItem(data);
            else data.Clear();
        }
    }

    void IPortDevice.Write(ushort offset, ReadOnlySpan<byte> data)
    {
        lock (_gate)
        {
            switch (offset)
            {
                case SelectorPort when data.Length == sizeof(ushort):
                    (_selected, _offset) = (BinaryPrimitives.ReadUInt16LittleEndian(data), 0);
                    break;
                case AddressHighPort when data.Length == sizeof(uint):
                    _addressHigh = BinaryPrimitives.ReadUInt32BigEndian(data);
                    break;
                case AddressLowPort when data.Length == sizeof(uint):
                    Transfer(new Gpa(((ulong)_addressHigh << 32) | BinaryPrimitives.ReadUInt32BigEndian(data)));
                    _addressHigh = 0;
                    break;
            }
        }
    }

    /// <summary>The device at rest.</summary>
    public FwCfgState Save()
    {
        lock (_gate) return new FwCfgState { Selected = _selected, Offset = _offset, AddressHigh = _addressHigh };
    }

    /// <summary>Takes a saved state over.</summary>
    /// <param name="state">From <see cref="Save"/>.</param>
    public void Load(FwCfgState state)
    {
        lock (_gate) (_selected, _offset, _addressHigh) = (state.Selected, state.Offset, state.AddressHigh);
    }

    /// <summary>
    /// Executes the access structure at an address: control, length, address, all big-endian. Writing control back ends it.
    /// </summary>
    private void Transfer(Gpa access)
    {
        if (!_memory.TryRead(access, AccessSize, out ReadOnlySpan<byte> shared)) return;
        Span<byte> copy = stackalloc byte[AccessSize];
        shared.CopyTo(copy);
        uint control = BinaryPrimitives.ReadUInt32BigEndian(copy), length = BinaryPrimitives.ReadUInt32BigEndian(copy[4..]);
        Gpa address = new(BinaryPrimitives.ReadUInt64BigEndian(copy[8..]));
        if ((control & SelectBit) != 0) (_selected, _offset) = ((ushort)(control >> 16), 0);

        bool done = true;
        if ((control & WriteBit) != 0) done = false;
        else if ((control & ReadBit) != 0) done = TryReadItem(address, length);
        else if ((control & SkipBit) != 0) Advance(length);
        _memory.TryStore(access, BinaryPrimitives.ReverseEndianness(done ? 0 : ErrorBit));
    }

    private unsafe bool TryReadItem(Gpa address, uint length)
    {
        if (length > MaxTransfer || !_memory.TryVector(address, length, out IoVec target)) return false;
        // SAFETY: found to be memory just now; memory does not go away.
        ReadItem(new Span<byte>((void*)target.Base, (int)length));
        // Not before: while memory is being copied, a page that is recorded may be copied at once.
        _memory.MarkWritten(new ReadOnlySpan<IoVec>(in target));
        return true;
    }

    private void Advance(uint length) => _offset += Math.Min(length, uint.MaxValue - _offset);

    private void ReadItem(Span<byte> target)
    {
        ReadOnlySpan<byte> item = _items.TryGetValue(_selected, out byte[]? content) ? content : [];
        ReadOnlySpan<byte> rest = _offset < item.Length ? item[(int)_offset..] : [];
        int known = Math.Min(rest.Length, target.Length);
        rest[..known].CopyTo(target);
        target[known..].Clear();
        Advance((uint)target.Length);
    }
}
