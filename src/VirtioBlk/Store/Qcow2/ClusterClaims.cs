namespace VirtioBlk.Store.Qcow2;

/// <summary>
/// Guest clusters whose place is being changed: by one thread at a time, so that two writes into the same new cluster
/// do not give it two places, and zeroing it and filling it come one after the other.
/// </summary>
internal sealed class ClusterClaims
{
    private readonly List<Claim> _claims = [];

    /// <summary>Waits until nobody has any of the clusters claimed, and claims them.</summary>
    /// <param name="first">Index of the first guest cluster.</param>
    /// <param name="end">Index after the last.</param>
    /// <returns>The claim; disposing it ends it.</returns>
    public Claim Take(long first, long end)
    {
        Claim claim = new(this, first, end);
        lock (_claims)
        {
            while (_claims.Exists(claim.Overlaps)) Monitor.Wait(_claims);
            _claims.Add(claim);
        }

        return claim;
    }

    private void End(Claim claim)
    {
        lock (_claims)
        {
            _claims.Remove(claim);
            Monitor.PulseAll(_claims);
        }
    }

    /// <summary>Clusters claimed until disposed.</summary>
    public sealed class Claim(ClusterClaims owner, long first, long end) : IDisposable
    {
        public bool Overlaps(Claim other) => first < other.End && other.First < end;

        /// <inheritdoc/>
        public void Dispose() => owner.End(this);

        private long First => first;

        private long End => end;
    }
}
