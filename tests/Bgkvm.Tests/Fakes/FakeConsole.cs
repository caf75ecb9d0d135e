using System.Text;
using Cloning.Instances;

namespace Bgkvm.Tests.Fakes;

/// <summary>A console that answers what it is told in capitals, and says so when it gets a BREAK.</summary>
internal sealed class FakeConsole : IConsole
{
    private readonly Lock _gate = new();
    private readonly List<byte> _history = [];
    private readonly List<Action<ReadOnlyMemory<byte>>> _sinks = [];

    public event Action<string>? Typed;

    public void Write(ReadOnlySpan<byte> input)
    {
        string text = Encoding.Latin1.GetString(input);
        Print(text.ToUpperInvariant());
        Typed?.Invoke(text);
    }

    public void SendBreak() => Print("<BREAK>");

    public IDisposable Attach(Action<ReadOnlyMemory<byte>> sink, int replay)
    {
        lock (_gate)
        {
            sink(_history.TakeLast(replay).ToArray());
            _sinks.Add(sink);
        }

        return new Detacher(this, sink);
    }

    public void Print(string text)
    {
        byte[] output = Encoding.Latin1.GetBytes(text);
        lock (_gate)
        {
            _history.AddRange(output);
            foreach (Action<ReadOnlyMemory<byte>> sink in _sinks) sink(output);
        }
    }

    public int Attached
    {
        get
        {
            lock (_gate) return _sinks.Count;
        }
    }

    private sealed class Detacher(FakeConsole console, Action<ReadOnlyMemory<byte>> sink) : IDisposable
    {
        public void Dispose()
        {
            lock (console._gate) console._sinks.Remove(sink);
        }
    }
}
