namespace VirtioBlk.Turns;

/// <summary>
/// Decides from a background's own progress when it should stand back (MS Manners, Douceur and Bolosky 1999). Where its requests take
/// much longer than they used to, others wait in the same queue, whoever they are. So it rests (<see cref="Backoff"/>) until its
/// requests take what they usually do.
/// </summary>
/// <remarks>
/// What they usually take is learned, for each kind of request by itself: the time that a quarter of them stay below. It follows
/// slowly, so that a disk that has become slower for good does not keep anybody resting for ever. Any thread.
/// </remarks>
internal sealed class ProgressRegulator
{
    private const double Slow = 3; // times what is usual
    private const double Quantile = 0.25, Follow = 0.01;

    private readonly Lock _gate = new();
    private readonly Dictionary<int, double> _usual = [];
    private readonly Backoff _backoff = new();

    /// <summary>How long to rest before the next request.</summary>
    public TimeSpan Rest => _backoff.Rest;

    /// <summary>Takes a sample.</summary>
    /// <param name="kind">Requests of the same kind take about the same time.</param>
    /// <param name="took">How long this one has taken.</param>
    public void Add(int kind, TimeSpan took)
    {
        lock (_gate)
        {
            double time = took.Ticks;
            if (!_usual.TryGetValue(kind, out double usual)) usual = time;
            _backoff.Add(time > Slow * usual);
            // Steps up and down balance where a quarter of the samples are below.
            _usual[kind] = usual * (time < usual ? 1 - (Follow * (1 - Quantile) / Quantile) : 1 + Follow);
        }
    }
}
