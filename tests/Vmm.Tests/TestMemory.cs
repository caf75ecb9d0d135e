using CowMemory;

namespace Vmm.Tests;

/// <summary>Guest memory without a machine. Sparse: sizes of many GiB cost nothing.</summary>
internal sealed class TestMemory : IDisposable
{
    private readonly MemoryFile _file;

    public TestMemory(ulong sizeBytes)
    {
        _file = MemoryFile.Create("vmm-tests", sizeBytes);
        Guest = GuestMemory.Map(_file, new MemoryLayout(sizeBytes), MemoryView.Shared);
    }

    public GuestMemory Guest { get; }

    public void Dispose()
    {
        Guest.Dispose();
        _file.Dispose();
    }
}
