using CowMemory;

namespace TestKit.Virtio;

/// <summary>Real guest memory (a memfd) with an allocator such as a driver has.</summary>
public sealed class TestMemory : IDisposable
{
    private ulong _next = 0x1000;

    public TestMemory(ulong sizeBytes = 4 << 20)
    {
        using MemoryFile file = MemoryFile.Create("test", sizeBytes);
        Memory = GuestMemory.Map(file, new MemoryLayout(sizeBytes), MemoryView.Shared);
    }

    public GuestMemory Memory { get; }

    public Gpa Allocate(int length, ulong alignment = 16)
    {
        _next = (_next + alignment - 1) / alignment * alignment;
        Gpa address = new(_next);
        _next += (ulong)length;
        Memory.Write(address, length).Clear();
        return address;
    }

    public Gpa Place(ReadOnlySpan<byte> content)
    {
        Gpa address = Allocate(content.Length);
        content.CopyTo(Memory.Write(address, content.Length));
        return address;
    }

    /// <summary>How far allocation has come.</summary>
    public ulong Mark() => _next;

    /// <summary>Takes back everything allocated since a mark.</summary>
    public void Release(ulong mark) => _next = mark;

    public void Dispose() => Memory.Dispose();
}
