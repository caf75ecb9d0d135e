namespace VirtioBlk.Store;

/// <summary>
/// Lets one thread wait until everybody has left who may still use what has just been taken out of reach: a freed
/// cluster, a layer's old backing, a layer's writability.
/// </summary>
/// <remarks>
/// Read-copy-update in its simplest form. Who enters after <see cref="Wait"/> has begun is not waited for, so others
/// coming and going all the time do not keep it.
/// </remarks>
internal sealed class GracePeriod
{
    private readonly object _sync = new();
    private readonly Lock _waiting = new();
    private readonly int[] _inside = new int[2];
    private int _epoch;

    /// <summary>From here until the result is disposed, <see cref="Wait"/> waits.</summary>
    public Stay Enter()
    {
        lock (_sync)
        {
            _inside[_epoch]++;
            return new Stay(this, _epoch);
        }
    }

    /// <summary>
    /// Waits until everybody who is inside now has left. The caller must not be inside, nor hold what somebody inside
    /// may wait for.
    /// </summary>
    public void Wait()
    {
        lock (_waiting)
        {
            lock (_sync)
            {
                int before = _epoch;
                _epoch ^= 1;
                while (_inside[before] > 0) Monitor.Wait(_sync);
            }
        }
    }

    private void Leave(int epoch)
    {
        lock (_sync)
        {
            if (--_inside[epoch] == 0) Monitor.PulseAll(_sync);
        }
    }

    /// <summary>Being inside; ends when disposed.</summary>
    public readonly struct Stay : IDisposable
    {
        private readonly GracePeriod _period;
        private readonly int _epoch;

        internal Stay(GracePeriod period, int epoch)
        {
            _period = period;
            _epoch = epoch;
        }

        /// <inheritdoc/>
        public void Dispose() => _period.Leave(_epoch);
    }
}
