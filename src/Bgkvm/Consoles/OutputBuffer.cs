namespace Bgkvm.Consoles;

/// <summary>Bytes on their way to one reader: the writer never waits; a reader that falls behind loses the oldest.</summary>
internal sealed class OutputBuffer(int capacity)
{
    private readonly Lock _gate = new();
    private readonly byte[] _ring = new byte[capacity];
    private TaskCompletionSource? _waiting;
    private int _start, _count;
    private bool _completed;

    /// <summary>Adds output.</summary>
    public void Append(ReadOnlySpan<byte> output)
    {
        if (output.Length > _ring.Length) output = output[^_ring.Length..];
        lock (_gate)
        {
            int lost = Math.Max(0, _count + output.Length - _ring.Length);
            _start = (_start + lost) % _ring.Length;
            _count -= lost;
            int end = (_start + _count) % _ring.Length;
            int first = Math.Min(output.Length, _ring.Length - end);
            output[..first].CopyTo(_ring.AsSpan(end));
            output[first..].CopyTo(_ring);
            _count += output.Length;
            Wake();
        }
    }

    /// <summary>There will be no more.</summary>
    public void Complete()
    {
        lock (_gate)
        {
            _completed = true;
            Wake();
        }
    }

    /// <summary>Takes what there is, waiting for something. One reader at a time.</summary>
    /// <returns>Bytes taken; 0 after the last.</returns>
    public async ValueTask<int> ReadAsync(Memory<byte> destination)
    {
        while (true)
        {
            Task change;
            lock (_gate)
            {
                if (_count > 0) return Take(destination.Span);
                if (_completed) return 0;
                _waiting ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                change = _waiting.Task;
            }

            await change;
        }
    }

    private int Take(Span<byte> destination)
    {
        int taken = Math.Min(_count, destination.Length);
        int first = Math.Min(taken, _ring.Length - _start);
        _ring.AsSpan(_start, first).CopyTo(destination);
        _ring.AsSpan(0, taken - first).CopyTo(destination[first..]);
        _start = (_start + taken) % _ring.Length;
        _count -= taken;
        return taken;
    }

    private void Wake()
    {
        _waiting?.SetResult();
        _waiting = null;
    }
}
