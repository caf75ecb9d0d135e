namespace VirtioBlk.Turns;

/// <summary>
/// How long a background rests for what it has seen lately: where most of it was bad, twice as long each time, until it is good again.
/// One thread at a time.
/// </summary>
public sealed class Backoff
{
    /// <summary>The first rest, and the longest: after each it goes on, whatever happens.</summary>
    public static readonly TimeSpan FirstRest = TimeSpan.FromMilliseconds(5), LongestRest = 8 * FirstRest;

    private const int Votes = 8, Majority = 6; // a single bad one is chance

    private readonly Queue<bool> _lately = new();

    /// <summary>How long to rest before the next piece of work.</summary>
    public TimeSpan Rest { get; private set; }

    /// <summary>Takes what a piece of work has shown.</summary>
    /// <param name="bad">Whether it is a reason to rest.</param>
    public void Add(bool bad)
    {
        _lately.Enqueue(bad);
        if (_lately.Count > Votes) _lately.Dequeue();
        if (_lately.Count(vote => vote) < Majority) Rest = TimeSpan.Zero;
        else if (Rest == TimeSpan.Zero) Rest = FirstRest;
        else if (Rest < LongestRest) Rest *= 2;
    }
}
