using Kvm.Interop;
using Vmm.Devices;
using Vmm.Machines;

namespace Cloning.Instances;

/// <summary>
/// The instance's end of the serial lines: the console, and beside it the guest channel. Machines come and go below it (<see cref="Connect"/>), readers above it;
/// a vCPU that prints only appends to a buffer here, and a thread of the hub's own does the rest.
/// </summary>
public sealed class ConsoleHub : IConsole, ISerialOutput, IDisposable
{
    private const int HistoryBytes = 64 * 1024, MaxPendingBytes = 1024 * 1024;

    private readonly Lock _gate = new();
    private readonly AutoResetEvent _wake = new(false);
    private readonly Thread _thread;
    private readonly GuestLog _log;
    private readonly List<Attachment> _attachments = [];
    private readonly Queue<byte> _history = new(HistoryBytes);
    private List<byte> _pending = new(4096);
    private List<byte> _spare = new(4096);
    private TaskCompletionSource? _drained;
    private bool _delivering, _ended;

    // Held while input is delivered, and while a move is under way. Apart from _gate: a port that prints takes that one.
    private readonly Lock _inputGate = new();
    private Serial8250? _port;

    /// <summary>Starts a hub.</summary>
    /// <param name="logPath">Where everything the guest prints is appended.</param>
    /// <exception cref="LibcException">The log cannot be opened.</exception>
    /// <param name="startOver">Whether what the log holds already is dropped.</param>
    public ConsoleHub(string logPath, bool startOver = false)
    {
        _log = new GuestLog(logPath, startOver);
        Channel = new GuestChannel(_inputGate);
        _thread = new Thread(Distribute) { Name = "console", IsBackground = true };
        _thread.Start();
    }

    /// <summary>The guest's second serial port.</summary>
    public GuestChannel Channel { get; }

    /// <summary>From now on input goes to this machine; to none with null, as before it is disposed.</summary>
    public void Connect(Machine? machine)
    {
        lock (_inputGate)
        {
            _port = machine?.Console;
            Channel.Connect(machine?.Channel);
        }
    }

    /// <summary>Keeps input waiting until disposed: what came between the save of a port and the connection of the next would be lost.</summary>
    public Lock.Scope HoldInput() => _inputGate.EnterScope();

    /// <summary>Takes output of the guest. Called on a vCPU thread: appends and returns.</summary>
    void ISerialOutput.Write(ReadOnlySpan<byte> bytes) => Print(bytes);

    /// <summary>Adds to what readers see, as if the guest had printed it.</summary>
    public void Print(ReadOnlySpan<byte> output)
    {
        lock (_gate)
        {
            // Beyond this the readers are hopelessly behind; the guest must not wait for them.
            if (_pending.Count > MaxPendingBytes) _pending.Clear();
            bool wasEmpty = _pending.Count == 0;
            _pending.AddRange(output);
            if (wasEmpty) _wake.Set();
        }
    }

    /// <summary>Waits until everything printed so far has reached the readers.</summary>
    public void Drain()
    {
        Task drained;
        lock (_gate)
        {
            if (_pending.Count == 0 && !_delivering) return;
            _drained ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            drained = _drained.Task;
        }

        _wake.Set(); // the round under way may have begun before the last of it was printed: the next one counts
        drained.Wait();
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> input)
    {
        lock (_inputGate) _port?.Receive(input);
    }

    /// <inheritdoc/>
    public void SendBreak()
    {
        lock (_inputGate) _port?.SendBreak();
    }

    /// <summary>Sends a SysRq command: BREAK and the letter, with nobody's input in between.</summary>
    public void SendSysRq(byte command)
    {
        lock (_inputGate)
        {
            _port?.SendBreak();
            _port?.Receive([command]);
        }
    }

    /// <inheritdoc/>
    public IDisposable Attach(Action<ReadOnlyMemory<byte>> sink, int replay)
    {
        Attachment attachment = new(this, sink);
        lock (_gate)
        {
            byte[] past = [.. _history];
            attachment.Replay = past.AsMemory(Math.Max(0, past.Length - replay));
            _attachments.Add(attachment);
        }

        _wake.Set();
        return attachment;
    }

    /// <summary>Hands out what is left and ends the thread.</summary>
    public void Dispose()
    {
        lock (_gate) _ended = true;
        _wake.Set();
        _thread.Join();
        _wake.Dispose();
        _log.Dispose();
    }

    private void Distribute()
    {
        // A guest prints byte by byte. Where it shares a processor with this thread, it is not to be interrupted for each.
        Libc.WakeWithoutPreempting();
        while (true)
        {
            _wake.WaitOne();
            byte[] output;
            Attachment[] readers;
            TaskCompletionSource? drained;
            bool ended;
            lock (_gate)
            {
                (_pending, _spare) = (_spare, _pending);
                output = [.. _spare];
                _spare.Clear();
                readers = [.. _attachments];
                ended = _ended;
                (_delivering, drained, _drained) = (true, _drained, null);
                // History ends where this output begins, so that a reader who attaches now sees each byte once.
                foreach (byte b in output)
                {
                    if (_history.Count == HistoryBytes) _history.Dequeue();
                    _history.Enqueue(b);
                }
            }

            _log.Append(output);
            foreach (Attachment reader in readers) reader.Deliver(output);
            lock (_gate) _delivering = false;
            drained?.SetResult();
            if (ended) return;
        }
    }

    private void Detach(Attachment attachment)
    {
        lock (_gate) _attachments.Remove(attachment);
    }

    private sealed class Attachment(ConsoleHub hub, Action<ReadOnlyMemory<byte>> sink) : IDisposable
    {
        internal ReadOnlyMemory<byte> Replay { get; set; }

        internal void Deliver(byte[] output)
        {
            ReadOnlyMemory<byte> past = Replay;
            Replay = default;
            if (past.Length > 0) sink(past);
            if (output.Length > 0) sink(output);
        }

        public void Dispose() => hub.Detach(this);
    }
}
