using System.Diagnostics;
using CowMemory;
using TestKit.Disks;
using TestKit.Virtio;
using Virtio;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>
/// Bytes at random in registers and rings, changed while the device works: it never throws, never hangs, touches nothing
/// but what was offered to it, and works after a reset.
/// </summary>
public sealed class BlkFuzzTests
{
    private const int MemoryBytes = 1 << 20;
    private const ulong Playground = 0x10000, PlaygroundBytes = 0x8000; // rings, tables, buffers: all random
    private static readonly TimeSpan s_time = TimeSpan.FromSeconds(2);

    [Theory(DisplayName = "2.7, 4.2, 5.2: any bytes in ring memory and registers")]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    [InlineData(3, 3)]
    [InlineData(4, 3)]
    public void Any_bytes(int seed, int queues)
    {
        Random random = new(seed);
        using TestMemory memory = new(MemoryBytes);
        using MemoryDisk disk = new(1 << 20);
        TestLine line = new();
        using VirtioBlkDevice device = new(disk, "fuzz", "fuzz", queues);
        VirtioMmioTransport transport = new(device, memory.Memory, line);
        MockDriver driver = new(transport, memory, line);
        byte[] guard = new byte[MemoryBytes - (int)(Playground + PlaygroundBytes)];
        random.NextBytes(guard);
        guard.CopyTo(memory.Memory.Write(new Gpa(Playground + PlaygroundBytes), guard.Length));
        byte[] lower = memory.Memory.Read(new Gpa(0), (int)Playground).ToArray();

        int rounds = 0, broken = 0;
        // A busy host gets little done in that time.
        bool Enough() => rounds > 10 && broken > 0 && device.Counters.Requests > 0;
        for (Stopwatch watch = Stopwatch.StartNew(); watch.Elapsed < s_time || (!Enough() && watch.Elapsed < 30 * s_time); rounds++)
        {
            SetUp(driver, random, queues);
            for (int step = random.Next(60); step > 0; step--) Step(driver, transport, random, queues);
            // The pause of a fork: returns, whatever is going on.
            transport.Suspend();
            VirtioTransportState state = transport.Save();
            if (state.Status.HasFlag(VirtioStatus.NeedsReset)) broken++;
            using VirtioBlkDevice next = new(disk, "fuzz", "next", queues);
            if (rounds % 8 == 0) Move(state, next, memory);
            transport.Resume();
            driver.Status = VirtioStatus.None;
            Assert.Equal((VirtioStatus.None, 0u), (driver.Status, driver.Read(0x060)));
        }

        Assert.Null(device.LastHostError);
        Assert.Equal(guard, memory.Memory.Read(new Gpa(Playground + PlaygroundBytes), guard.Length).ToArray());
        Assert.Equal(lower, memory.Memory.Read(new Gpa(0), (int)Playground).ToArray());
        Assert.True(Enough(), $"{rounds} rounds, {broken} broken, {device.Counters.Requests} requests: too little happened");

        driver.Start();
        BlkDriver blk = new(driver);
        Assert.Equal(BlkDriver.Ok, blk.Write(9, [.. Enumerable.Repeat((byte)9, 512)]));
        Assert.Equal(9, disk.Bytes[9 * 512]);
    }

    /// <summary>Random memory with rings in it that are right often enough to get somewhere.</summary>
    private static void SetUp(MockDriver driver, Random random, int queues)
    {
        Span<byte> all = driver.Memory.Memory.Write(new Gpa(Playground), (int)PlaygroundBytes);
        random.NextBytes(all);
        driver.Negotiate(unwanted: (ulong)random.NextInt64() & (ulong)random.NextInt64() & ~VirtioFeatures.Version1);
        for (uint queue = 0; queue < queues; queue++)
        {
            ushort size = (ushort)(1 << random.Next(7));
            ulong at = Playground + (queue * 0x2000);
            for (int i = 0; i < size; i++) WriteDescriptor(driver.Memory, at + (ulong)(16 * i), random, size);
            driver.Memory.Memory.TryStore(new Gpa(at + 0x1002), (ushort)random.Next(size + 1)); // available index
            for (int i = 0; i < size; i++)
                driver.Memory.Memory.TryStore(new Gpa(at + 0x1004 + (ulong)(2 * i)), (ushort)random.Next(size));
            bool odd = random.Next(10) == 0;
            driver.ConfigureQueue(odd ? (uint)random.Next() : size, at, at + 0x1000, odd ? Address(random) : at + 0x1800, queue);
        }

        driver.Status |= VirtioStatus.DriverOk;
    }

    private static void Step(MockDriver driver, VirtioMmioTransport transport, Random random, int queues)
    {
        switch (random.Next(8))
        {
            case 0:
                byte[] data = new byte[1 << random.Next(4)];
                random.NextBytes(data);
                // Any register but Status and the queues' addresses: those come right from SetUp.
                ulong offset = (ulong)(random.Next(2) == 0 ? 4 * random.Next(0x1c) : 0x100 + random.Next(0x100));
                if (offset != 0x70) transport.Write(offset, data);
                break;
            case 1:
                transport.Read((ulong)random.Next(0x200), new byte[1 << random.Next(4)]);
                break;
            case 2:
                driver.Status |= (VirtioStatus)random.Next(256);
                break;
            case 3:
                driver.Write(0x030, (uint)random.Next(queues + 1));
                driver.Write(0x044, (uint)random.Next(2));
                break;
            case 4:
                ulong at = Playground + (ulong)(16 * random.Next((int)PlaygroundBytes / 16));
                WriteDescriptor(driver.Memory, at, random, 8);
                break;
            case 5:
                ulong ring = Playground + (0x2000UL * (ulong)random.Next(queues)) + 0x1002;
                driver.Memory.Memory.TryLoad(new Gpa(ring), out ushort index);
                driver.Memory.Memory.TryStoreRelease(new Gpa(ring), (ushort)(index + random.Next(3)));
                break;
            default:
                driver.Notify((uint)random.Next(queues + 1));
                break;
        }
    }

    private static void Move(VirtioTransportState state, VirtioBlkDevice into, TestMemory memory)
    {
        VirtioMmioTransport there = new(into, memory.Memory, new TestLine());
        try
        {
            there.Load(state);
            there.Resume();
            there.Suspend();
        }
        catch (InvalidDataException)
        {
            // Rings outside memory do not load: the device would have said NEEDS_RESET.
        }

        there.Reset();
    }

    private static void WriteDescriptor(TestMemory memory, ulong at, Random random, int size)
    {
        memory.Memory.TryStore(new Gpa(at), Address(random));
        memory.Memory.TryStore(new Gpa(at + 8), (uint)(random.Next(12) == 0 ? random.Next(MemoryBytes, int.MaxValue) : 16 * random.Next(66)));
        memory.Memory.TryStore(new Gpa(at + 12), (ushort)(random.Next(6) == 0 ? random.Next(16) : random.Next(4)));
        memory.Memory.TryStore(new Gpa(at + 14), (ushort)random.Next(size + 1));
        // What lies there may well be a request's header.
        ulong header = Playground + 0x6000 + (ulong)(16 * random.Next(64));
        uint[] types = [0, 1, 4, 8, 11, 13];
        memory.Memory.TryStore(new Gpa(header), types[random.Next(types.Length)]);
        memory.Memory.TryStore(new Gpa(header + 8), (ulong)random.Next(2100));
    }

    /// <summary>In the playground, so far from its end that a buffer fits, or where no memory is.</summary>
    private static ulong Address(Random random) => random.Next(16) == 0
        ? (ulong)random.NextInt64(MemoryBytes, long.MaxValue)
        : Playground + (ulong)(16 * random.Next((int)(PlaygroundBytes - 0x1000) / 16));
}
