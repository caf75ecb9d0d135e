using Kvm.Interop;
using TestKit.Virtio;
using Virtio;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>Requests cost no garbage: a collection would stop the guest's vCPU threads too.</summary>
public sealed class BlkAllocationTests
{
    [Theory(DisplayName = "A request allocates nothing on the thread that serves it, at once or as a worker")]
    [InlineData(true)]
    [InlineData(false)]
    public void Nothing_is_allocated(bool cached)
    {
        using TestMemory memory = new();
        using MeasuringDisk disk = new(cached);
        using VirtioBlkDevice device = new(disk, "", "blk0");
        TestLine line = new();
        MockDriver driver = new(new VirtioMmioTransport(device, memory.Memory, line), memory, line);
        BlkDriver blk = new(driver);
        driver.Start();
        ulong mark = memory.Mark();
        for (int i = 0; i < 500; i++)
        {
            memory.Release(mark);
            if (i == 200) disk.Begin();
            Assert.Equal(BlkDriver.Ok, blk.Read(0, new byte[512]));
        }

        Assert.True(disk.Calls > 200, $"{disk.Calls} calls");
        Assert.Equal(0, disk.AllocatedBytes);
    }

    /// <summary>Compares what its thread had allocated at one call and at the next one.</summary>
    private sealed class MeasuringDisk(bool cached) : IBlockBackend
    {
        private readonly ThreadLocal<long> _before = new(() => -1);
        private volatile bool _begun;
        private int _calls;
        private long _allocated;

        public long LengthBytes => 1 << 20;

        public bool IsReadOnly => false;

        public int Calls => _calls;

        public long AllocatedBytes => Interlocked.Read(ref _allocated);

        public void Begin() => _begun = true;

        public bool TryReadCached(ReadOnlySpan<IoVec> vectors, long offset)
        {
            if (cached) Measure();
            return cached;
        }

        public void Read(ReadOnlySpan<IoVec> vectors, long offset) => Measure();

        public void Write(ReadOnlySpan<IoVec> vectors, long offset) { }

        public void Flush() { }

        public void Discard(long offset, long length) { }

        public void WriteZeroes(long offset, long length, bool mayUnmap) { }

        public void Dispose() => _before.Dispose();

        private void Measure()
        {
            long now = GC.GetAllocatedBytesForCurrentThread();
            if (_begun && _before.Value >= 0)
            {
                Interlocked.Increment(ref _calls);
                Interlocked.Add(ref _allocated, now - _before.Value);
            }

            _before.Value = _begun ? GC.GetAllocatedBytesForCurrentThread() : -1;
        }
    }
}
