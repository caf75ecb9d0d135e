using System.Diagnostics;
using CowMemory;
using TestKit.Virtio;
using Virtio;

namespace BlkDevice;

/// <summary>A driver that keeps a number of random requests of 4 KiB on their way, and sleeps whenever it may.</summary>
internal sealed class Load
{
    public const int DiskBytes = 64 << 20;
    private const int RequestBytes = 4096;

    private readonly MockDriver _driver;
    private readonly Random _random = new(1);
    private readonly (Gpa Header, DriverBuffer[] Chain)[] _slots;
    private readonly Dictionary<uint, int> _busy = [];
    private readonly Stack<int> _free;

    public Load(MockDriver driver, uint type, int depth, bool eventIdx)
    {
        _driver = driver;
        driver.Start(128, eventIdx ? 0 : VirtioFeatures.EventIdx);
        BlkDriver blk = new(driver);
        _slots = new (Gpa, DriverBuffer[])[depth];
        for (int i = 0; i < depth; i++)
        {
            Gpa header = driver.Memory.Place(blk.Header(type, 0));
            Gpa data = driver.Memory.Allocate(RequestBytes, RequestBytes);
            _slots[i] = (header,
            [
                DriverBuffer.Readable(header, 16), new DriverBuffer(data, RequestBytes, type == BlkDriver.In),
                DriverBuffer.Writable(blk.NewStatus(), 1),
            ]);
        }

        _free = new Stack<int>(Enumerable.Range(0, depth));
    }

    public long Served { get; private set; }

    /// <summary>Sends for a time, and waits for what is on its way.</summary>
    public void Run(TimeSpan time)
    {
        long begin = Stopwatch.GetTimestamp();
        for (bool sending = true; sending || _busy.Count != 0; sending = Stopwatch.GetElapsedTime(begin) < time)
        {
            while (sending && _free.TryPop(out int slot))
            {
                ulong sector = (ulong)_random.Next(DiskBytes / RequestBytes) * (RequestBytes / 512);
                _driver.Memory.Memory.TryStore(_slots[slot].Header + 8, sector);
                _busy.Add(_driver.Queue.Add(_slots[slot].Chain), slot);
            }

            _driver.Kick();
            Take(_driver.WaitUsed());
            while (_driver.Queue.TryTake(out UsedElement element)) Take(element);
        }
    }

    private void Take(UsedElement element)
    {
        _busy.Remove(element.Id, out int slot);
        _free.Push(slot);
        Served++;
    }
}
