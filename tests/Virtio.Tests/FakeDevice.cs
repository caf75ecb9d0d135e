using Kvm.Interop;

namespace Virtio.Tests;

/// <summary>A device that does nothing but remember what its transport told it.</summary>
internal sealed class FakeDevice(int queues = 1, ulong features = 0) : IVirtioDevice, IDisposable
{
    private readonly EventFd[] _notifications =
        [.. Enumerable.Range(0, queues).Select(_ => EventFd.Create(nonBlocking: true))];

    public uint DeviceId => 42;

    public ulong Features => features;

    public ushort MaxQueueSize => 64;

    public IReadOnlyList<EventFd> Notifications => _notifications;

    public uint ConfigGeneration { get; set; }

    public uint Settings { get; set; }

    public void Negotiated(ulong agreed) => Calls.Add($"{nameof(Negotiated)} {agreed:x}");

    public byte[] Config { get; } = [1, 2, 3, 4, 5, 6, 7, 8];

    public VirtioActivation? Activation { get; private set; }

    public List<string> Calls { get; } = [];

    public void ReadConfig(ulong offset, Span<byte> data)
    {
        data.Clear();
        ulong end = Math.Min((ulong)Config.Length, offset + (ulong)data.Length);
        for (ulong at = offset; at < end; at++) data[(int)(at - offset)] = Config[at];
    }

    public void WriteConfig(ulong offset, ReadOnlySpan<byte> data) => data.CopyTo(Config.AsSpan((int)offset));

    public void Activate(VirtioActivation activation)
    {
        Activation = activation;
        Calls.Add(nameof(Activate));
    }

    public bool Suspend(long limit)
    {
        Calls.Add(nameof(Suspend));
        return true;
    }

    public void Resume() => Calls.Add(nameof(Resume));

    public void Deactivate()
    {
        Activation = null;
        Calls.Add(nameof(Deactivate));
    }

    public void Dispose()
    {
        foreach (EventFd notification in _notifications) notification.Dispose();
    }
}
