# Writes stats_cases_more.json: answers of R to further small data sets, for test_stats_reference_more.py.
# R 4.2.2 with Debian 12's MASS 7.3.58.2, lme4 1.1.31, epiR 2.0.57, psych 2.2.9, vcd 1.4.11, sandwich 3.0.2,
# pwr 1.3.0, exactRankTests 0.8.35, coin 1.4.2, effectsize 0.8.3:  Rscript tests/golden/make_stats_cases_more.R
suppressMessages({
  library(jsonlite); library(MASS); library(coin); library(exactRankTests); library(lme4); library(psych)
  library(vcd); library(effectsize); library(epiR); library(sandwich); library(pwr)
})
plain <- function(v) as.numeric(v)
groups <- function(x, y) {
  d <- data.frame(v = c(x, y), g = factor(rep(c("x", "y"), c(length(x), length(y)))))
  welch <- t.test(x, y); student <- t.test(x, y, var.equal = TRUE); g <- hedges_g(x, y)
  list(x = x, y = y,
    welch = plain(c(welch$p.value, welch$statistic, welch$parameter, welch$conf.int)),
    student = plain(c(student$p.value, student$statistic, student$parameter, student$conf.int)),
    mann_whitney = pvalue(wilcox_test(v ~ g, data = d, distribution = "exact")),
    permutation = pvalue(oneway_test(v ~ g, data = d, distribution = "exact")),
    continuity = wilcox.test(x, y, exact = FALSE)$p.value,
    no_continuity = wilcox.test(x, y, exact = FALSE, correct = FALSE)$p.value,
    hedges = plain(c(g$Hedges_g, g$CI_low, g$CI_high)), cliff = plain(cliffs_delta(x, y)$r_rank_biserial),
    spread = plain(c(var.test(x, y)$statistic, var.test(x, y)$p.value)))
}
# effectsize 0.8.3 looks for both noncentralities at once with optim's Nelder-Mead, which stops when its corners
# agree within reltol = 1.5e-8 of the tails; uniroot solves the same equation of R's own pt to rounding.
limits <- function(x, y) {
  n <- length(x) + length(y); df <- n - 2; unit <- sqrt(1 / length(x) + 1 / length(y))
  t <- (mean(x) - mean(y)) / sqrt((var0(x) + var0(y)) / df) / unit
  solve <- function(tail) uniroot(function(nc) pt(abs(t), df, nc) - tail, abs(t) + c(-12, 12), tol = 1e-14)$root
  ends <- c(solve(.975), solve(.025)); ends <- if (t < 0) -rev(ends) else ends
  j <- exp(lgamma(df / 2) - lgamma((df - 1) / 2)) / sqrt(df / 2)
  list(x = I(x), y = I(y), d = ends * unit, g = ends * unit * j)
}
var0 <- function(v) sum((v - mean(v))^2)
rates <- function(seed, n1, n2, m1, m2, theta, area) {
  set.seed(seed); areas <- runif(n1 + n2, area * .5, area * 1.5); g <- rep(1:0, c(n1, n2))
  counts <- rnbinom(n1 + n2, mu = areas * ifelse(g == 1, m1, m2), size = theta)
  nb <- glm.nb(counts ~ g + offset(log(areas)), control = glm.control(epsilon = 1e-12, maxit = 100))
  exact <- glm.control(epsilon = 1e-14, maxit = 100)
  qp <- glm(counts ~ g + offset(log(areas)), family = quasipoisson, control = exact)
  po <- glm(counts ~ g + offset(log(areas)), family = poisson, control = exact)
  list(counts = counts, areas = areas, group = g, coefficients = plain(coef(nb)), theta = nb$theta,
    errors = plain(sqrt(diag(vcov(nb)))), log_likelihood = plain(logLik(nb)),
    poisson = plain(coef(po)), dispersion = summary(qp)$dispersion,
    hc0 = plain(sqrt(diag(vcovHC(po, type = "HC0")))), hc3 = plain(sqrt(diag(vcovHC(po, type = "HC3")))))
}
sections <- function(seed, n1, n2, k, between, within) {
  set.seed(seed); p <- rep(1:(n1 + n2), each = k); g <- ifelse(p <= n1, 1, 0); u <- rnorm(n1 + n2, 0, between)
  d <- pmax(exp(1 + g * .8 + u[p] + rnorm(length(p), 0, within)) - 1, 0)
  tight <- lmerControl(optCtrl = list(ftol_abs = 1e-12, xtol_abs = 1e-12))
  fit <- lmer(log1p(d) ~ g + (1 | p), REML = TRUE, control = tight); v <- as.data.frame(VarCorr(fit))
  list(density = d, patient = p, group = g, coefficients = plain(fixef(fit)), variances = plain(v$vcov),
    errors = plain(sqrt(diag(as.matrix(vcov(fit))))))
}
readers <- function(seed, n) {
  set.seed(seed); a <- rgamma(n, 1, .1); b <- a * exp(rnorm(n, .05, .1)) + rnorm(n, 0, .1)
  ccc <- epi.ccc(a, b, ci = "z-transform", conf.level = .95)$rho.c; icc <- ICC(cbind(a, b), lmer = FALSE)$results[2, ]
  line <- summary(lm(I(a - b) ~ I((a + b) / 2)))$coefficients
  list(a = a, b = b, ccc = plain(ccc), icc = plain(icc[c("ICC", "lower bound", "upper bound", "p")]),
    bland_altman = plain(c(mean(a - b), sd(a - b), line[2, 1], line[2, 4])))
}
many <- function(l) {
  d <- data.frame(v = unlist(l), g = factor(rep(seq_along(l), lengths(l)))); k <- kruskal.test(l)
  w <- oneway.test(v ~ g, d)
  list(groups = l, kruskal = plain(c(k$statistic, k$p.value)),
    welch_anova = plain(c(w$statistic, w$parameter, w$p.value)))
}
pairs <- function(b, a) {
  t <- t.test(b, a, paired = TRUE)
  list(before = b, after = a, t = plain(c(t$p.value, t$statistic, t$conf.int)),
    rank = wilcox.exact(b, a, paired = TRUE)$p.value,
    pratt = pvalue(wilcoxsign_test(b ~ a, distribution = "exact", zero.method = "Pratt")),
    continuity = wilcox.test(b, a, paired = TRUE, exact = FALSE)$p.value)
}
calls <- function(m) list(table = m, unweighted = plain(Kappa(m)$Unweighted),
  linear = plain(Kappa(m, weights = "Equal-Spacing")$Weighted),
  quadratic = plain(Kappa(m, weights = "Fleiss-Cohen")$Weighted))
ratio <- function(c1, a1, c2, a2) {
  t <- poisson.test(c(c1, c2), c(a1, a2)); list(given = c(c1, a1, c2, a2), p = t$p.value, ci = plain(t$conf.int))
}
solved <- function() {
  given <- fromJSON("tests/golden/stats_cases.json", simplifyDataFrame = FALSE)$cases
  known <- Filter(function(case) is.numeric(case$tests$hedges_g$g), Filter(function(case) is.list(case$tests), given))
  lapply(known, function(case) limits(case$input$x, case$input$y))
}
set.seed(7)
out <- suppressWarnings(list(
  groups = list(groups(rnbinom(12, mu = 8, size = .8) / 9.7, rnbinom(10, mu = 1, size = .5) / 8.1),
    groups(c(0, 0, 0, 0, 0), c(1.2, 3, 0, 4.4)), groups(c(1e6, 2e6, 7e6, 1e6), c(1e6, 1e6, 5e6)),
    groups(c(0, 0, 0, 1), c(0, 0, 0, 0)), groups(c(0, 0, 0, 0, 0, 9), c(0, 0, 0, 0, 0, 0)),
    groups(round(rexp(20, .2)), round(rexp(7, .5))), groups(rnorm(8, 5), rnorm(8, 5))),
  rates = list(rates(1, 12, 12, 8.7, .6, .8, 10), rates(2, 12, 9, 14, 2, .5, 6), rates(3, 6, 6, 3, 3, 2, 4),
    rates(5, 12, 12, 2, .3, .4, 5), rates(6, 20, 15, 1, 1, .3, 2)),
  sections = list(sections(1, 8, 7, 3, .5, .4), sections(2, 6, 5, 2, .01, .6), sections(3, 12, 12, 4, 1, .2)),
  readers = list(readers(1, 12), readers(2, 30), readers(3, 5)),
  many = list(many(list(c(1.1, 2, 3, 0), c(4, 5.5, 7, 8, 9), c(0, 0, 1, .5))),
    many(list(c(0, 0, 1), c(0, 1, 2), c(5, 5, 6, 7), c(1, 1, 4)))),
  pairs = list(pairs(c(5, 3, 2, 9, 0, 0), c(1, 3, 0, 2, 0, 1)), pairs(rexp(9), rexp(9)), pairs(c(3, 8), c(1, 0))),
  calls = list(calls(matrix(c(10, 2, 0, 1, 8, 3, 0, 2, 9), 3)), calls(matrix(c(40, 3, 2, 5), 2))),
  ratios = list(ratio(3, 10, 0, 5), ratio(0, 1, 0, 1), ratio(50, 12.5, 20, 9), ratio(0, 3, 4, 2)),
  power = list(one_tail = power.t.test(n = 8, delta = 1.3, sd = 1)$power,
    unequal = pwr.t2n.test(n1 = 12, n2 = 9, d = .9)$power, size = pwr.t.test(d = .7, power = .9)$n,
    detectable = pwr.t2n.test(n1 = 10, n2 = 6, power = .8)$d,
    paired = pwr.t.test(n = 9, d = .8, type = "paired")$power)))
out$hedges_limits <- c(solved(), lapply(Filter(function(case) is.finite(case$hedges[1]), out$groups),
  function(case) limits(case$x, case$y)))
write(toJSON(out, digits = NA, auto_unbox = TRUE, na = "string", matrix = "rowmajor"),
  "tests/golden/stats_cases_more.json")
