/** A small plot of the last two minutes: one bar a second, the newest at the right. */
export function Plot({ values, label, value }: { values: readonly number[]; label: string; value: string }) {
  const top = Math.max(1, ...values)
  const points = values.map((number, index) => `${index},${(40 - (number / top) * 38).toFixed(1)}`)
  const end = values.length - 1
  return (
    <figure class="plot">
      <figcaption>
        <span class="plot-label">{label}</span>
        <span class="plot-value">{value}</span>
      </figcaption>
      <svg viewBox={`0 0 ${end} 40`} preserveAspectRatio="none" role="img" aria-label={`${label}: ${value}`}>
        <polygon points={`0,40 ${points.join(' ')} ${end},40`} />
        <polyline points={points.join(' ')} />
      </svg>
    </figure>
  )
}
