using System.Buffers.Binary;
using CowMemory;
using TestKit.Virtio;
using Virtio;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>Stopping and moving a device under load: every request is done once, and answered once.</summary>
public sealed class BlkMoveTests
{
    private const int Slots = 16;
    private const int Requests = 12_000;

    [Theory(DisplayName = "Suspend and Resume, or a move to a fresh device, under load: nothing lost, nothing doubled")]
    [InlineData(false, 0UL)]
    [InlineData(false, VirtioFeatures.EventIdx)]
    [InlineData(true, 0UL)]
    [InlineData(true, VirtioFeatures.EventIdx)]
    public void Under_load(bool move, ulong unwanted)
    {
        using TestMemory memory = new();
        CountingDisk disk = new(Requests);
        TestLine line = new();
        List<VirtioBlkDevice> devices = [new(disk, "", "blk0")];
        VirtioMmioTransport transport = new(devices[0], memory.Memory, line);
        MockDriver driver = new(transport, memory, line);
        DriverQueue queue = driver.Start(64, unwanted);
        object vcpu = new(); // held while the guest executes; a pause takes it, as stopping the vCPUs does
        bool ended = false;
        int pauses = 0, sent = 0, done = 0;
        Thread pausing = new(() =>
        {
            while (!Volatile.Read(ref ended))
            {
                lock (vcpu)
                {
                    transport.Suspend();
                    pauses++;
                    if (move)
                    {
                        VirtioBlkDevice device = new(disk, "", "blk0");
                        devices.Add(device);
                        VirtioMmioTransport next = new(device, memory.Memory, line);
                        next.Load(transport.Save());
                        transport.Reset(); // the old one must not touch anything any more
                        devices[^2].Dispose();
                        transport = next;
                        driver.Registers = next;
                    }

                    transport.Resume();
                }

                // Something is to happen between two pauses.
                for (int before = Volatile.Read(ref done); Volatile.Read(ref done) < before + 20 && !Volatile.Read(ref ended);)
                    Thread.Yield();
            }
        });

        BlkDriver blk = new(driver);
        (Gpa Header, Gpa Data, Gpa Status)[] slots = [.. Enumerable.Range(0, Slots).Select(_ =>
            (memory.Place(blk.Header(BlkDriver.Out, 0)), memory.Allocate(512), blk.NewStatus()))];
        Dictionary<uint, int> inFlight = [];
        Queue<int> free = new(Enumerable.Range(0, Slots));
        pausing.Start();
        while (done < Requests)
        {
            long edges = line.Edges;
            lock (vcpu)
            {
                driver.Acknowledge();
                while (queue.TryTake(out UsedElement element))
                {
                    Assert.True(inFlight.Remove(element.Id, out int slot), $"{element.Id} came back twice");
                    Assert.Equal(1u, element.Length);
                    Assert.Equal(BlkDriver.Ok, blk.StatusAt(slots[slot].Status));
                    free.Enqueue(slot);
                    done++;
                }

                while (sent < Requests && free.TryDequeue(out int slot))
                {
                    (Gpa header, Gpa data, Gpa status) = slots[slot];
                    memory.Memory.TryStore(header + 8, (ulong)sent);
                    memory.Memory.TryStore(data, (ulong)sent);
                    memory.Memory.TryStore(status, BlkDriver.NoStatus);
                    DriverBuffer tail = DriverBuffer.Writable(status, 1);
                    ushort id = queue.Add(DriverBuffer.Readable(header, 16), DriverBuffer.Readable(data, 512), tail);
                    inFlight.Add(id, slot);
                    sent++;
                }

                driver.Kick();
                if (done == Requests || queue.Listen()) continue;
            }

            line.Wait(edges);
        }

        Volatile.Write(ref ended, true);
        pausing.Join();
        foreach (VirtioBlkDevice device in devices) device.Dispose();
        Assert.All(disk.Written, count => Assert.Equal(1, count));
        Assert.Equal(0, disk.Wrong);
        Assert.True(pauses > 3, $"Only {pauses} pauses");
    }

    /// <summary>Counts the writes of each sector; sector N must be written with the number N.</summary>
    private sealed unsafe class CountingDisk(int sectors) : IBlockBackend
    {
        private int _wrong;

        public int[] Written { get; } = new int[sectors];

        public int Wrong => _wrong;

        public long LengthBytes => 512L * sectors;

        public bool IsReadOnly => false;

        public void Read(ReadOnlySpan<Kvm.Interop.IoVec> vectors, long offset) { }

        public void Write(ReadOnlySpan<Kvm.Interop.IoVec> vectors, long offset)
        {
            foreach (Kvm.Interop.IoVec vector in vectors) // a sector each; adjacent ones may come together
            {
                ReadOnlySpan<byte> data = new((void*)vector.Base, 8);
                if (BinaryPrimitives.ReadInt64LittleEndian(data) != offset / 512) Interlocked.Increment(ref _wrong);
                Interlocked.Increment(ref Written[offset / 512]);
                offset += 512;
            }
        }

        public void Flush() { }

        public void Discard(long offset, long length) { }

        public void WriteZeroes(long offset, long length, bool mayUnmap) { }

        public void Dispose() { }
    }
}
